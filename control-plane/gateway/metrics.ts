// Every metric of the gateway, in one table.
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from "prom-client";
import { copyStates, type CopyState } from "./services/control-plane-copies.js";
import { breakerStates, type BreakerState } from "./services/service-guard.js";

export interface GatewayMetricsOptions {
  isConnected: () => boolean;
  services: () => readonly { service: string; state: BreakerState; running: number }[];
  copies: () => readonly { state: CopyState }[];
}

export function openGatewayMetrics({ isConnected, services, copies }: GatewayMetricsOptions) {
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
      help: "Answers given from memory because the service could not be asked: pages of titles, ranked lists of playback.",
      labelNames: ["service"] as const,
      registers,
    }),
    refusals: new Counter({
      name: "millrace_gateway_rate_limited_total",
      help: "Requests refused with 429, by whose limit it was: an address's or a token's. Many from real players: raise rateLimit in the settings.",
      labelNames: ["limit"] as const,
      registers,
    }),
    calls: new Counter({
      name: "millrace_gateway_calls_total",
      help: "Calls to services, by what became of them. failed: late or unreachable, even when repeated. breaker-open, bulkhead-full: not made.",
      labelNames: ["service", "outcome"] as const,
      registers,
    }),
    retries: new Counter({
      name: "millrace_gateway_retries_total",
      help: 'Calls made again after a fault. made="no": not made, for the budget was spent; then the service is sick, not one copy.',
      labelNames: ["service", "made"] as const,
      registers,
    }),
    breakerState: new Gauge({
      name: "millrace_gateway_breaker_state",
      help: "0 closed, 1 half open, 2 open: the service failed too often of late and is not asked. Look at its log; it recovers by itself.",
      labelNames: ["service"] as const,
      registers,
      collect() {
        for (const { service, state } of services()) this.set({ service }, breakerStates.indexOf(state));
      },
    }),
    callsRunning: new Gauge({
      name: "millrace_gateway_calls_running",
      help: "Calls that wait for a service. Near services.NAME.callsAtOnce: it is slow, and more will be refused.",
      labelNames: ["service"] as const,
      registers,
      collect() {
        for (const { service, running } of services()) this.set({ service }, running);
      },
    }),
    copies: new Gauge({
      name: "millrace_gateway_control_plane_copies",
      help: "Copies of the control plane, by what they say of themselves.",
      labelNames: ["state"] as const,
      registers,
      collect() {
        const all = copies();
        for (const state of copyStates) this.set({ state }, all.filter((copy) => copy.state === state).length);
      },
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
