// The filter at the end: what became of a request goes into the metrics and, at level debug, the log.
import type { Log } from "../../../runtime/log.js";
import type { RequestFacts } from "../http-app.js";
import type { GatewayMetrics } from "../metrics.js";

export interface RequestEnd {
  route: string;
  facts: RequestFacts;
  /** aborted: the client went away before its answer. */
  status: number | "aborted";
  tookMs: number;
}

export function openRequestCount(metrics: Pick<GatewayMetrics, "requests" | "requestSeconds" | "requestsAborted">) {
  return ({ route, facts, status, tookMs }: RequestEnd): void => {
    metrics.requestSeconds.observe({ route }, tookMs / 1000);
    if (status === "aborted") metrics.requestsAborted.inc();
    else metrics.requests.inc({ route, method: knownMethod(facts.method), status: String(status) });
  };
}

/** Never the query or a header: they may hold what is secret. */
export function logRequest(log: Log, { route, facts, status, tookMs }: RequestEnd): void {
  const { requestId, method, path, clientAddress } = facts;
  log.debug(
    { requestId, clientAddress, method: knownMethod(method), path: path.slice(0, 200), route, status, tookMs: Math.round(tookMs) },
    "request",
  );
}

/** A label that a client can't make new ones of. */
function knownMethod(method: string): string {
  return ["GET", "HEAD", "POST", "OPTIONS", "PUT", "DELETE", "PATCH"].includes(method) ? method : "other";
}
