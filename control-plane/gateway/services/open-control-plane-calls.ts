// Puts together what the routes ask the control plane through: its copies, a guard per service, the calls.
import type { Clock } from "../../../runtime/clock.js";
import type { Log } from "../../../runtime/log.js";
import { ControlPlaneClient } from "../../control-plane-client.js";
import type { GatewayMetrics } from "../metrics.js";
import type { GatewaySettings } from "../settings.js";
import { serviceNames, type ControlPlaneCalls, type ServiceName } from "./call-table.js";
import { ControlPlaneCopies } from "./control-plane-copies.js";
import { makeGuardedCalls } from "./guarded-calls.js";
import { ServiceGuard } from "./service-guard.js";

export function openControlPlaneCopies({ controlPlane }: GatewaySettings, log: Log): ControlPlaneCopies {
  const { secret, url, discoverEvery, healthEvery } = controlPlane;
  return new ControlPlaneCopies({
    urls: url,
    openClient: (url) => new ControlPlaneClient(url, secret === undefined ? {} : { serviceSecret: secret }),
    discoverEveryMs: discoverEvery,
    healthEveryMs: healthEvery,
    log,
  });
}

export interface ServiceGuardsOptions {
  settings: GatewaySettings["services"];
  /** Made later, for they ask the guards. */
  metrics: () => Pick<GatewayMetrics, "calls" | "retries">;
  clock: Clock;
  log: Log;
}

export function makeServiceGuards({ settings, metrics, clock, log }: ServiceGuardsOptions): Record<ServiceName, ServiceGuard> {
  const guard = (service: ServiceName) =>
    new ServiceGuard({
      service,
      settings: settings[service],
      clock,
      onOutcome: (outcome) => metrics().calls.inc({ service, outcome }),
      onRetry: (made) => metrics().retries.inc({ service, made: made ? "yes" : "no" }),
      onBreaker: (state) => log[state === "open" ? "warn" : "info"]({ service, state }, "the breaker of a service has changed"),
    });
  return Object.fromEntries(serviceNames.map((name) => [name, guard(name)])) as Record<ServiceName, ServiceGuard>;
}

export function makeControlPlaneCalls(copies: ControlPlaneCopies, guards: Record<ServiceName, ServiceGuard>): ControlPlaneCalls {
  return makeGuardedCalls({ guards, pickCopy: (asked) => copies.pick(asked) });
}
