// The gateway's process: the only place of it that constructs.
import { openAdminServer, type AdminServer } from "../../runtime/admin-server.js";
import { openLog, type Log } from "../../runtime/log.js";
import { packageRoot } from "../../runtime/package-root.js";
import { announceReady, onStop } from "../../runtime/stop-signal.js";
import { ControlPlaneClient } from "../control-plane-client.js";
import { makeApiRoutes } from "./api-routes.js";
import { makeBillingRoutes } from "./billing-routes.js";
import { makeCatalogRoutes } from "./catalog-routes.js";
import { TrustedProxies } from "./client-address.js";
import { makeContentSteeringRoutes } from "./content-steering-routes.js";
import { openHttpApp, type Route, type RouteAnswer } from "./http-app.js";
import { makeLoginRoutes } from "./login-routes.js";
import { openGatewayMetrics } from "./metrics.js";
import { readPageRoutes } from "./page-routes.js";
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
  const { url, secret } = settings.controlPlane;
  const client = new ControlPlaneClient(url, secret === undefined ? {} : { serviceSecret: secret });
  let draining = false;
  const isConnected = () => client.isConnected();
  const metrics = openGatewayMetrics({ isConnected });
  /** Once it has had an answer it stays ready without the control plane: it has pages and titles to show and says what it can't do. */
  const whyNotReady = () => {
    if (draining) return "draining";
    if (!isConnected() && !client.hasAnswered()) return `the control plane at ${client.url} has not been reached yet`;
    return undefined;
  };

  const text = (status: number, body: string, type = "text/plain"): RouteAnswer => ({
    status,
    headers: { "Content-Type": type, "Cache-Control": "no-store" },
    body,
  });
  const ownRoute = (answer: Route["answer"]): Route => ({ name: "own", methods: ["GET"], crossOrigin: false, answer });
  const routes = new Map<string, Route>([
    ...readPageRoutes(packageRoot),
    ...makeApiRoutes({ client, metrics }),
    ...makeContentSteeringRoutes(client),
    ...makeLoginRoutes(client),
    ...makeBillingRoutes(client),
    ...makeCatalogRoutes(client),
    ["/healthz", ownRoute(() => text(200, "ok\n"))],
    [
      "/readyz",
      ownRoute(() => {
        const why = whyNotReady();
        if (why !== undefined) return text(503, `not ready: ${why}\n`);
        return text(200, isConnected() ? "ready\n" : "ready, without the control plane\n");
      }),
    ],
    ["/metrics", ownRoute(async () => text(200, await metrics.registry.metrics(), metrics.registry.contentType))],
  ]);

  const http = await openHttpApp({
    ...settings.listen,
    routeOf: (path) => routes.get(path),
    trustedProxies: new TrustedProxies(settings.trustForwardedFrom),
    metrics,
    log,
  });
  let admin: AdminServer | undefined;
  if (settings.admin) {
    const status = () => ({ draining, port: http.port, controlPlane: { url: client.url, connected: isConnected() } });
    admin = await openAdminServer({ ...settings.admin, registry: metrics.registry, whyNotReady, status });
  }
  isConnected(); // Begins to connect, so that the first request need not wait.

  log.info({ host: settings.listen.host, port: http.port, adminPort: admin?.port, controlPlane: client.url }, "gateway serves");
  return {
    port: http.port,
    adminPort: admin?.port,
    close: async () => {
      draining = true;
      await http.drain();
      client.close();
      await admin?.close();
    },
  };
}
