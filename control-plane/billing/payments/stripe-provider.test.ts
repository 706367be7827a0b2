import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { StripeProvider } from "./stripe-provider.js";

test("StripeProvider believes the payment itself, and not the search that found it: that one lags behind", async (context) => {
  const intent = { id: "pi_1", object: "payment_intent", amount: 799, currency: "eur", metadata: { reference: "r1" } };
  const server = createServer((request, response) => {
    const path = request.url!.split("?", 1)[0];
    response.setHeader("Content-Type", "application/json");
    if (path === "/v1/payment_intents/search") {
      const isAsked = decodeURIComponent(request.url!).includes("'r1'");
      const stale = { ...intent, status: "requires_confirmation" };
      response.end(JSON.stringify({ object: "search_result", data: isAsked ? [stale] : [], has_more: false, url: path }));
    } else if (path === "/v1/payment_intents/pi_1") response.end(JSON.stringify({ ...intent, status: "succeeded" }));
    else response.writeHead(404).end(JSON.stringify({ error: { type: "invalid_request_error" } }));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  context.after(() => {
    server.close();
    server.closeAllConnections();
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  const provider = new StripeProvider({ secretKey: "sk_test", webhookSecret: "whsec", url });
  assert.deepEqual(await provider.findPayment("r1"), {
    reference: "r1",
    providerId: "pi_1",
    status: "succeeded",
    amountMinor: 799n,
    currency: "EUR",
  });
  assert.equal(await provider.findPayment("r2"), undefined);
});
