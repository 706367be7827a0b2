// Who may call when the settings ask for it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { credentials, Metadata, status, type ServiceError } from "@grpc/grpc-js";
import { ControlPlaneClient as ApplianceClient } from "../appliance/agent/control-plane-client.js";
import { ApplianceRole, FleetServiceClient } from "../fill-protocol/generated/millrace/fleet/v1/fleet.js";
import { codeOf, makeAccount, openLoginControlPlane, signIn, signInRequest } from "../tests/support/login-client.js";
import { temporaryFolder } from "../tests/support/temporary-folder.js";
import { applianceKey } from "./caller.js";
import { ControlPlaneClient } from "./control-plane-client.js";

const applianceSecret = "appliances 0123456789abcdef 0123456789";
const gatewaySecret = "gateway 0123456789abcdef 0123456789";

test("with authentication required, everyone shows who they are, and speaks for themselves only", async () => {
  const controlPlane = await openLoginControlPlane({
    database: `sqlite:${temporaryFolder()}/a.db`,
    settings: `authentication: { required: true, applianceSecret: "${applianceSecret}", services: [{ name: gateway, secret: "${gatewaySecret}" }] }`,
    login: "  lockout: { failuresMax: 1000 }",
  });
  const { client, url } = controlPlane;
  const gateway = new ControlPlaneClient(url, { serviceSecret: gatewaySecret });
  const box = new ApplianceClient(url, applianceKey(applianceSecret, "box-1"));
  const wrongBox = new ApplianceClient(url, applianceKey(applianceSecret, "box-2"));
  const fleet = new FleetServiceClient(url.slice("grpc://".length), credentials.createInsecure());
  const namelessBox = new ApplianceClient(url);
  const identity = {
    applianceId: "box-1",
    siteId: "near",
    clusterId: "near-a",
    role: ApplianceRole.APPLIANCE_ROLE_EDGE,
    dataUrl: "http://box-1/",
    adminUrl: "",
    capacityBytes: 1000n,
    chunkBytes: 100,
    softwareVersion: "0",
  };
  const register = (box: ApplianceClient) => box.register({ identity, bootId: "boot-1" });
  const refusal = async (call: Promise<unknown>) => {
    const error: unknown = await call.then(
      () => assert.fail("answered"),
      (error: unknown) => error,
    );
    return status[(error as ServiceError).code];
  };
  try {
    await register(box);
    assert.equal(await refusal(register(wrongBox)), "UNAUTHENTICATED");
    assert.equal(await refusal(register(namelessBox)), "UNAUTHENTICATED");
    const asBox1 = new Metadata();
    asBox1.set("authorization", `Appliance box-1:${applianceKey(applianceSecret, "box-1")}`);
    const forAnother = new Promise((resolve, reject) =>
      fleet.renewLease({ applianceId: "box-2", leaseId: "x" }, asBox1, (error) => (error ? reject(error) : resolve(undefined))),
    );
    assert.equal(await refusal(forAnother), "PERMISSION_DENIED");

    assert.equal(await codeOf(client.listAppliances({})), "unauthenticated");
    assert.equal((await gateway.listAppliances({})).appliances.length, 1);
    assert.equal(await codeOf(new ControlPlaneClient(url, { serviceSecret: `${gatewaySecret}!` }).listAppliances({})), "unauthenticated");
    assert.equal(
      await codeOf(client.startPlayback({ titleId: "x", clientAddress: "10.0.0.1" } as Parameters<typeof client.startPlayback>[0])),
      "unauthenticated",
    );
    await makeAccount(controlPlane, "ann@example.org");
    const { facts } = await signIn(controlPlane, "ann@example.org");
    assert.equal(
      await codeOf(client.startPlayback({ titleId: "x", clientAddress: "10.0.0.1" } as Parameters<typeof client.startPlayback>[0], facts)),
      "title-unknown",
    );
    assert.equal(await codeOf(client.listAppliances({}, facts)), "forbidden");
    await client.listTitles({ pageSize: 0, pageToken: "" } as Parameters<typeof client.listTitles>[0]);

    // Who has no secret can't say that it is another address; the gateway can.
    await codeOf(client.signIn(signInRequest("ann@example.org", "a wrong password"), { clientAddress: "203.0.113.7" }));
    await codeOf(gateway.signIn(signInRequest("ann@example.org", "a wrong password"), { clientAddress: "203.0.113.8" }));
    const { events } = await client.listAuditEvents({ accountId: "", pageSize: 0, pageToken: "" }, facts);
    assert.deepEqual(
      events
        .filter(({ kind }) => kind === "sign-in-failed")
        .map(({ address }) => address)
        .toSorted(),
      ["127.0.0.1", "203.0.113.8"],
    );
  } finally {
    for (const each of [box, wrongBox, namelessBox, gateway, fleet]) each.close();
    await controlPlane.close();
  }
});

test("a call whose deadline has passed is given up", async () => {
  const controlPlane = await openLoginControlPlane({ database: `sqlite:${temporaryFolder()}/a.db` });
  const fleet = new FleetServiceClient(controlPlane.url.slice("grpc://".length), credentials.createInsecure());
  try {
    const late = await new Promise<ServiceError | null>((resolve) =>
      fleet.listAppliances({}, new Metadata(), { deadline: Date.now() - 1 }, (error) => resolve(error)),
    );
    assert.equal(late?.code, status.DEADLINE_EXCEEDED);
  } finally {
    fleet.close();
    await controlPlane.close();
  }
});
