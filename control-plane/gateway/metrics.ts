// Every metric of the gateway, in one table.
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from "prom-client";

export function openGatewayMetrics({ isConnected }: { isConnected: () => boolean }) {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const registers = [registry];
  return {
    registry,
    requests: new Counter({
      name: "millrace_gateway_requests_total",
      help: "Requests answered, by route, method and status. 503: the control plane is away or no appliance is live. 500: a bug, see the log.",
      labelNames: ["route", "method", "status"] as const,
      registers,
    }),
    requestSeconds: new Histogram({
      name: "millrace_gateway_request_seconds",
      help: "Time from a request's headers to its answer. Near 2 s: the control plane does not answer within the deadline.",
      labelNames: ["route"] as const,
      buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5],
      registers,
    }),
    requestsAborted: new Counter({
      name: "millrace_gateway_requests_aborted_total",
      help: "Requests whose client went away before the answer. Many: answers are slow, or a proxy in front has a short time limit.",
      registers,
    }),
    staleAnswers: new Counter({
      name: "millrace_gateway_stale_answers_total",
      help: "Pages of titles answered from memory because the control plane is away.",
      registers,
    }),
    connected: new Gauge({
      name: "millrace_gateway_control_plane_connected",
      help: "1 while the connection to the control plane stands. 0: start it, or mend the network between the two.",
      registers,
      collect() {
        this.set(isConnected() ? 1 : 0);
      },
    }),
  };
}

export type GatewayMetrics = ReturnType<typeof openGatewayMetrics>;
