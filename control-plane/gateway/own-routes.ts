// What the gateway says of itself: whether it lives and is ready, its metrics, its OpenAPI document.
import type { Registry } from "prom-client";
import { z } from "zod";
import type { Route, RouteAnswer } from "./http-app.js";
import { makeOpenApi } from "./open-api.js";

export interface OwnRoutesOptions {
  /** All others, for the document. */
  routes: ReadonlyMap<string, Route>;
  registry: Registry;
  /** Undefined when it is ready. */
  whyNotReady: () => string | undefined;
  isConnected: () => boolean;
}

/** Path → route. They are never refused by a rate limit. */
export function makeOwnRoutes({ routes, registry, whyNotReady, isConnected }: OwnRoutesOptions): Map<string, Route> {
  const text = (status: number, body: string, type = "text/plain"): RouteAnswer => ({
    status,
    headers: { "Content-Type": type, "Cache-Control": "no-store" },
    body,
  });
  const own = (summary: string, answer: Route["answer"], schema: z.ZodType = z.string(), answerType = "text/plain"): Route => ({
    name: "own",
    methods: ["GET"],
    crossOrigin: false,
    description: { summary, answer: schema, answerType },
    answer,
  });
  let document = "";
  const made = new Map<string, Route>([
    ["/healthz", own("Whether the process lives", () => text(200, "ok\n"))],
    [
      "/readyz",
      own("Whether it can do its work; 503 and why not", () => {
        const why = whyNotReady();
        if (why !== undefined) return text(503, `not ready: ${why}\n`);
        return text(200, isConnected() ? "ready\n" : "ready, without the control plane\n");
      }),
    ],
    ["/metrics", own("Metrics for Prometheus", async () => text(200, await registry.metrics(), registry.contentType))],
    [
      "/api/openapi.json",
      {
        ...own("This document", () => text(200, document, "application/json"), z.looseObject({ openapi: z.string() }), "application/json"),
        crossOrigin: true,
      },
    ],
  ]);
  document = JSON.stringify(makeOpenApi(new Map([...routes, ...made])));
  return made;
}
