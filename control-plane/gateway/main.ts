// The gateway's process: the only place of it that constructs.
import { openAdminServer, type AdminServer } from "../../runtime/admin-server.js";
import { openLog, type Log } from "../../runtime/log.js";
import { packageRoot } from "../../runtime/package-root.js";
import { announceReady, onStop } from "../../runtime/stop-signal.js";
import { systemClock } from "../../runtime/clock.js";
import { makeApiRoutes } from "./api-routes.js";
import { makeBillingRoutes } from "./billing-routes.js";
import { makeCatalogRoutes } from "./catalog-routes.js";
import { TrustedProxies } from "./client-address.js";
import { makeContentSteeringRoutes } from "./content-steering-routes.js";
import { RateLimit } from "./filters/rate-limit.js";
import { openHttpApp, type Route } from "./http-app.js";
import { KeptPlaybacks } from "./kept-playbacks.js";
import { makeLoginRoutes } from "./login-routes.js";
import { openGatewayMetrics, type GatewayMetrics } from "./metrics.js";
import { makeOwnRoutes } from "./own-routes.js";
import { readPageRoutes } from "./page-routes.js";
import { serviceNames } from "./services/call-table.js";
import { makeControlPlaneCalls, makeServiceGuards, openControlPlaneCopies } from "./services/open-control-plane-calls.js";
import type { GatewaySettings } from "./settings.js";

/** Runs the gateway, whether or not the control plane is there, until it is told to stop. @throws OperatingError when it can't start. */
export async function runGateway(settings: GatewaySettings): Promise<void> {
  const log = openLog("gateway", settings.log.level);
  const gateway = await openGateway(settings, log);
  onStop((reason) => {
    log.info({ reason }, "gateway stops");
    return gateway.close();
  });
  announceReady({ port: gateway.port, ...(gateway.adminPort !== undefined && { adminPort: gateway.adminPort }) });
}

export interface Gateway {
  port: number;
  adminPort: number | undefined;
  /** Finishes the requests that run. */
  close(): Promise<void>;
}

/** Resolves when the gateway serves. @throws OperatingError when it can't start. */
export async function openGateway(settings: GatewaySettings, log: Log): Promise<Gateway> {
  const clock = systemClock;
  const copies = openControlPlaneCopies(settings, log);
  const guards = makeServiceGuards({ settings: settings.services, metrics: (): GatewayMetrics => metrics, clock, log });
  const calls = makeControlPlaneCalls(copies, guards);
  const url = settings.controlPlane.url.join(", ");
  let draining = false;
  const isConnected = () => copies.isConnected();
  const services = () =>
    serviceNames.map((service) => {
      const { state, running } = guards[service];
      return { service, state, running, callsAtOnce: settings.services[service].callsAtOnce };
    });
  const metrics = openGatewayMetrics({ isConnected, services, copies: () => copies.list() });
  /** Once it has had an answer it stays ready without the control plane: it has pages and titles to show and says what it can't do. */
  const whyNotReady = () => {
    if (draining) return "draining";
    if (!isConnected() && !copies.hasAnswered()) return `the control plane at ${url} has not been reached yet`;
    return undefined;
  };

  const keptPlaybacks = new KeptPlaybacks({ clock, maxAgeMs: settings.fallback.playbackMaxAge });
  const routes = new Map<string, Route>([
    ...readPageRoutes(packageRoot),
    ...makeApiRoutes({ calls, metrics, keptPlaybacks, services, copies: () => copies.list() }),
    ...makeContentSteeringRoutes(calls),
    ...makeLoginRoutes(calls),
    ...makeBillingRoutes(calls),
    ...makeCatalogRoutes(calls),
  ]);
  for (const [path, route] of makeOwnRoutes({ routes, registry: metrics.registry, whyNotReady, isConnected })) routes.set(path, route);
  await copies.start();

  const http = await openHttpApp({
    ...settings.listen,
    routeOf: (path) => routes.get(path),
    trustedProxies: new TrustedProxies(settings.trustForwardedFrom),
    rateLimit: new RateLimit({ ...settings.rateLimit, clock, onRefusal: (limit) => metrics.refusals.inc({ limit }) }),
    metrics,
    log,
  }).catch((error: unknown) => {
    copies.close();
    throw error;
  });
  let admin: AdminServer | undefined;
  if (settings.admin) {
    const status = () => ({
      draining,
      port: http.port,
      controlPlane: { url, connected: isConnected(), copies: copies.list() },
      services: services(),
    });
    admin = await openAdminServer({ ...settings.admin, registry: metrics.registry, whyNotReady, status });
  }
  isConnected(); // Begins to connect, so that the first request need not wait.

  log.info({ host: settings.listen.host, port: http.port, adminPort: admin?.port, controlPlane: url }, "gateway serves");
  return {
    port: http.port,
    adminPort: admin?.port,
    close: async () => {
      draining = true;
      await http.drain();
      copies.close();
      await admin?.close();
    },
  };
}
