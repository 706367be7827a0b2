// The control plane's process: the only place of it that constructs.
import { randomBytes } from "node:crypto";
import { logVerbosity, setLogVerbosity } from "@grpc/grpc-js";
import { openAdminServer } from "../runtime/admin-server.js";
import { systemClock, type Clock } from "../runtime/clock.js";
import { openLog, type Log } from "../runtime/log.js";
import { announceReady, onStop } from "../runtime/stop-signal.js";
import { Authenticator } from "./caller.js";
import { makeCatalogService } from "./catalog/catalog-service.js";
import { CatalogStore } from "./catalog/catalog-store.js";
import { DetailsStore } from "./catalog/details-store.js";
import { MemoryTitleSearch } from "./catalog/memory-title-search.js";
import { makeFillPlanService } from "./fill-plan/fill-plan-service.js";
import { FillPlanner } from "./fill-plan/fill-planner.js";
import { fillRulesOf } from "./fill-plan/fill-rules.js";
import { makeFillService } from "./fill-plan/fill-service.js";
import { HeatStore } from "./fill-plan/heat-store.js";
import { PlanStore } from "./fill-plan/plan-store.js";
import { ApplianceStore } from "./fleet/appliance-store.js";
import { countFleet, logNewlyOffline, makeFleetService, restoreFleet } from "./fleet/fleet-service.js";
import { FleetRegistry } from "./fleet/fleet-registry.js";
import { HoldingsRegister } from "./fleet/holdings-register.js";
import { makeOperationService } from "./fleet/operation-service.js";
import { OperationStore } from "./fleet/operation-store.js";
import { Operations } from "./fleet/operations.js";
import { Numbering } from "./fleet/numbering.js";
import { TokenKeyStore } from "./fleet/token-key-store.js";
import { TokenKeys } from "./fleet/token-keys.js";
import { FillServiceService } from "../fill-protocol/generated/millrace/fill/v1/fill.js";
import { FleetServiceService } from "../fill-protocol/generated/millrace/fleet/v1/fleet.js";
import { openLogin } from "./login/open-login.js";
import { openMetrics } from "./metrics.js";
import { UrlSigner } from "./playback/url-signer.js";
import { TitleGate } from "./fill-plan/title-gate.js";
import { openBilling } from "./billing/open-billing.js";
import { BillingServiceService } from "./protocol/generated/millrace/billing/v1/billing.js";
import { StreamAdmission } from "./playback/stream-admission.js";
import { TitleAvailability } from "./playback/title-availability.js";
import { makePlaybackService } from "./playback/playback-service.js";
import { CatalogServiceService } from "./protocol/generated/millrace/catalog/v1/catalog.js";
import { LoginServiceService } from "./protocol/generated/millrace/login/v1/login.js";
import { FillPlanServiceService } from "./protocol/generated/millrace/fillplan/v1/fill_plan.js";
import { OperationServiceService } from "./protocol/generated/millrace/operation/v1/operation.js";
import { PlaybackServiceService } from "./protocol/generated/millrace/playback/v1/playback.js";
import { SteeringServiceService } from "./protocol/generated/millrace/steering/v1/steering.js";
import { openGrpcServer } from "./server.js";
import { makeServiceCalls } from "./service-calls.js";
import type { ControlPlaneSettings } from "./settings.js";
import { openDecisionLog } from "./steering/decision-log.js";
import { openGeoLocator } from "./steering/geo-locator.js";
import { ThroughputReports } from "./steering/order-pathways.js";
import { openRouting } from "./steering/routing.js";
import { SessionLedger } from "./steering/session-ledger.js";
import { SteeringFleet } from "./steering/steering-fleet.js";
import { makeSteeringService } from "./steering/steering-service.js";
import { SteeringSessions } from "./steering/steering-sessions.js";
import { Steering } from "./steering/steering.js";
import { clockDifferenceMaxMs, readClockDifferenceMs } from "./store/clock-difference.js";
import { openStore } from "./store/database.js";
import { openSharedState } from "./store/open-shared-state.js";
import { redactedUrl } from "./store/redacted-url.js";
import { forgetOldKeys } from "./store/write-once.js";

/** Old idempotency keys go so often. */
const sweepEveryMs = 3_600_000;

export interface ControlPlane {
  grpcPort: number;
  adminPort: number;
  /** Finishes the calls that run and closes the database. */
  close(): Promise<void>;
}

/** Runs the control plane until it is told to stop. @throws OperatingError when it can't start. */
export async function runControlPlane(settings: ControlPlaneSettings): Promise<void> {
  const log = openLog("control-plane", settings.log.level);
  const controlPlane = await openControlPlane(settings, { log, clock: systemClock });
  onStop((reason) => {
    log.info({ reason }, "control plane stops");
    return controlPlane.close();
  });
  announceReady({ grpcPort: controlPlane.grpcPort, adminPort: controlPlane.adminPort });
}

/** Resolves when the control plane serves. @throws OperatingError when it can't start. */
export async function openControlPlane(settings: ControlPlaneSettings, { log, clock }: { log: Log; clock: Clock }): Promise<ControlPlane> {
  // grpc-js prints to standard error in a format of its own what it also reports to us.
  setLogVerbosity(logVerbosity.NONE);
  const metrics = openMetrics();
  const store = await openStore(settings.database);
  const clockDifferenceMs = await readClockDifferenceMs(store, clock);
  if (Math.abs(clockDifferenceMs) > clockDifferenceMaxMs)
    log.warn({ clockDifferenceMs }, "our clock and the database's differ: run NTP on both");
  const shared = await openSharedState(settings.shared, clock).catch(async (error: unknown) => {
    await store.destroy();
    throw error;
  });
  const catalog = new CatalogStore(store);
  const details = new DetailsStore(store);
  const search = new MemoryTitleSearch({ store: details, clock, log });
  search.start();
  const applianceStore = new ApplianceStore(store);
  const numbers = new Numbering();
  const { heartbeatEvery, expiresAfter, drainedAfter, selfPreservation } = settings.fleet;
  const registry = new FleetRegistry({
    clock,
    expiresAfterMs: expiresAfter,
    heartbeatEveryMs: heartbeatEvery,
    drainedAfterMs: drainedAfter,
    preservation: { ...selfPreservation, forMs: selfPreservation.for },
  });
  const holdings = new HoldingsRegister(numbers);
  const heat = new HeatStore(store, clock);
  const plans = new PlanStore(store);
  const planner = new FillPlanner({ catalog, appliances: applianceStore, heat, plans, settings: settings.fillPlan, clock, log });
  const liveness = new TitleGate({ registry, holdings, rules: settings.fillPlan.liveness, metrics });
  const routing = openRouting(settings, { clock, log });
  const { nominalBitsPerSecond, reservationValidFor, contentSteeringTtl, geoDatabase } = settings.steering;
  const fleet = new SteeringFleet({ registry, numbers, onSite: (siteId) => routing.noteSite(siteId) });
  const decisionLog = settings.steering.decisionLog && openDecisionLog(settings.steering.decisionLog, { log, boxes: () => fleet.boxes() });
  const ledger = new SessionLedger({
    validForMs: reservationValidFor,
    onEnd: (sessionId) => decisionLog?.writeEnd(clock.unixMs(), sessionId),
  });
  const geo = geoDatabase === undefined ? undefined : openGeoLocator(geoDatabase);
  const steering = new Steering({
    routes: routing.table,
    fleet,
    holdings,
    ledger,
    geo,
    decisionLog,
    limits: settings.steering,
    clock,
    metrics,
  });
  const sessions = new SteeringSessions(settings.steering.sessionSecret ?? randomBytes(32).toString("hex"));
  const { authentication } = settings;
  const login = await openLogin({ store, shared, settings: settings.login, clock, log });
  const authenticator = new Authenticator({
    verifyAccess: (token) => login.keys.verifyAccess(token),
    isSessionEnded: (sessionId) => login.endedSessions.has(sessionId),
    applianceSecret: authentication.applianceSecret,
    services: authentication.services,
  });
  const calls = makeServiceCalls({
    log,
    metrics,
    authenticator,
    authenticationRequired: authentication.required,
    forwardingNeedsSecret: authentication.services.length > 0,
  });
  const calendar = {
    rotateEveryMs: settings.tokens.rotateEvery,
    urlsValidForMs: settings.tokens.urlsValidFor,
    leaseValidForMs: settings.lease.validFor,
  };
  const tokenKeys = new TokenKeys({ store: new TokenKeyStore(store), clock, calendar, log });
  await tokenKeys.start();
  const signer = settings.tokens.signUrls
    ? new UrlSigner({ keys: tokenKeys, clock, validForMs: settings.tokens.urlsValidFor, bindClients: settings.tokens.bindClients })
    : undefined;
  const knownAppliances = await restoreFleet({ registry, store: applianceStore });
  const operationStore = new OperationStore(store);
  const { turnUp } = settings.fleet;
  const operations = new Operations({
    registry,
    store: operationStore,
    turnUp,
    clock,
    log,
    onChange: (applianceId) => fleet.refresh(applianceId),
  });
  await operations.follow();

  const billing = openBilling({ store, settings: settings.billing, clock, log });
  const admission = settings.billing.required ? new StreamAdmission(store, clock) : undefined;
  const server = await openGrpcServer(settings.listen, [
    { definition: BillingServiceService, implementation: billing.makeService(calls) },
    {
      definition: FleetServiceService,
      implementation: makeFleetService(calls, {
        registry,
        holdings,
        store: applianceStore,
        onRegistered: (identity) => {
          operations.apply(identity);
          planner.changed();
        },
        manifestVersionOf: ({ applianceId }) => planner.versionOf(applianceId),
        clock,
        heartbeatEveryMs: settings.fleet.heartbeatEvery,
        expiresAfterMs: settings.fleet.expiresAfter,
        leaseValidForMs: settings.lease.validFor,
        onChange: (applianceId) => fleet.refresh(applianceId),
        sessionsEndInSeconds: ({ identity, state }) => {
          const box = state === "draining" ? fleet.get(identity.applianceId) : undefined;
          const endsAtMs = box && ledger.lastEndOn(box);
          return endsAtMs === undefined ? 0 : Math.ceil(Math.max(0, endsAtMs - clock.monotonicMs()) / 1000);
        },
        tokenKeys,
        log,
      }),
    },
    {
      definition: FillServiceService,
      implementation: makeFillService(calls, {
        registry,
        holdings,
        planner,
        catalog,
        heat,
        rules: fillRulesOf(settings.fillPlan),
        metrics,
        log,
      }),
    },
    {
      definition: FillPlanServiceService,
      implementation: makeFillPlanService(calls, {
        registry,
        holdings,
        planner,
        plans,
        catalog,
        heat,
        demandShare: settings.fillPlan.demandShare,
        clock,
      }),
    },
    {
      definition: OperationServiceService,
      implementation: makeOperationService(calls, {
        registry,
        store: operationStore,
        operations,
        prefixesOfSite: (siteId) => routing.table.countBySite().get(siteId) ?? 0,
        clock,
        log,
      }),
    },
    {
      definition: CatalogServiceService,
      implementation: makeCatalogService(calls, { store: catalog, details, search, onChange: () => planner.changed(), clock, log }),
    },
    {
      definition: SteeringServiceService,
      implementation: makeSteeringService(calls, {
        steering,
        catalog,
        sessions,
        signer,
        throughput: new ThroughputReports(),
        contentSteeringTtlMs: contentSteeringTtl,
        clock,
      }),
    },
    {
      definition: PlaybackServiceService,
      implementation: makePlaybackService(calls, {
        catalog,
        availability: new TitleAvailability({ details, countryOf: geo?.countryOf, clock }),
        steering,
        sessions,
        nominalBitsPerSecond,
        clock,
        signer,
        liveness,
        admission,
      }),
    },
    { definition: LoginServiceService, implementation: login.makeService(calls) },
  ]);
  metrics.watchPasswords(() => login.hasher.worked);
  let draining = false;
  const watch = setInterval(() => {
    logNewlyOffline({ registry, log });
    ledger.expire(clock.monotonicMs());
    void operations.follow();
  }, heartbeatEvery);
  const sweep = setInterval(() => {
    forgetOldKeys(store, clock.unixMs()).catch((error: unknown) => log.warn({ err: error }, "old idempotency keys stay for now"));
  }, sweepEveryMs);
  metrics.countAppliances(() => countFleet(registry, metrics.appliances));
  const admin = await openAdminServer({
    ...settings.admin,
    registry: metrics.registry,
    whyNotReady: () => (draining ? "draining" : undefined),
    status: () => ({
      draining,
      grpcPort: server.port,
      steering: { ...routing.status(), sessions: ledger.size, decisionsDropped: decisionLog?.dropped ?? 0 },
      database: redactedUrl(settings.database),
      shared: redactedUrl(settings.shared),
      sharedAvailable: shared.isAvailable(),
      appliances: registry.list().map(({ identity, state }) => ({ id: identity.applianceId, siteId: identity.siteId, state })),
    }),
  });

  const { host } = settings.listen;
  const [database, sharedUrl] = [redactedUrl(settings.database), redactedUrl(settings.shared)];
  log.info({ host, grpcPort: server.port, adminPort: admin.port, database, shared: sharedUrl, knownAppliances }, "control plane serves");
  return {
    grpcPort: server.port,
    adminPort: admin.port,
    close: async () => {
      draining = true;
      clearInterval(watch);
      routing.close();
      clearInterval(sweep);
      tokenKeys.stop();
      search.close();
      await server.drain();
      await decisionLog?.close();
      await billing.close();
      login.close();
      await store.destroy();
      await shared.close();
      await admin.close();
    },
  };
}
