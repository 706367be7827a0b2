// OperationService over gRPC: what operators tell the fleet.
import { randomUUID } from "node:crypto";
import type { Clock } from "../../runtime/clock.js";
import type { Log } from "../../runtime/log.js";
import { OperatingError } from "../../runtime/operating-error.js";
import type { Maintenance as ProtocolMaintenance, OperationServiceServer } from "../protocol/generated/millrace/operation/v1/operation.js";
import type { ServiceCalls } from "../service-calls.js";
import { checkAppliance } from "./check-appliance.js";
import type { FleetRegistry } from "./fleet-registry.js";
import { isFleetId } from "./identity-rules.js";
import type { Maintenance, OperationStore } from "./operation-store.js";
import type { Operations } from "./operations.js";

const reasonMaxLength = 150;
/** As far ahead as an operator may plan. */
const maintenanceAheadMaxMs = 92 * 86_400_000;
const boxChecksMax = 50;

export interface OperationServiceOptions {
  registry: FleetRegistry;
  store: OperationStore;
  operations: Operations;
  prefixesOfSite: (siteId: string) => number;
  clock: Clock;
  log: Log;
}

export function makeOperationService(calls: ServiceCalls, options: OperationServiceOptions): OperationServiceServer {
  const { registry, store, operations, clock, log } = options;
  const applianceOf = (applianceId: string) => {
    const appliance = registry.get(applianceId);
    if (!appliance)
      throw new OperatingError("appliance-unknown", `Cannot find appliance ${applianceId.slice(0, 64)}: it has not registered`);
    return appliance;
  };
  return {
    orderAppliance: calls.unary(async ({ applianceId, drain, reason }) => {
      const { identity } = applianceOf(applianceId);
      await store.orderDrain(applianceId, drain ? checkedReason(reason) : undefined);
      await operations.follow();
      log.info({ applianceId, siteId: identity.siteId, drain, reason }, "operator's order");
      return {};
    }),

    scheduleMaintenance: calls.unary(async ({ maintenance }) => {
      const { applianceId = "", siteId = "", reason = "", fromUnixMs = 0n, untilUnixMs = 0n } = maintenance ?? {};
      if ((applianceId === "") === (siteId === "")) refuse("Expected an appliance or a site");
      if (applianceId !== "") applianceOf(applianceId);
      if (siteId !== "" && !isFleetId(siteId)) refuse("the site is no id");
      const entry: Maintenance = {
        maintenanceId: randomUUID(),
        applianceId,
        siteId,
        fromUnixMs: Number(fromUnixMs),
        untilUnixMs: Number(untilUnixMs),
        reason: checkedReason(reason),
      };
      if (!(entry.untilUnixMs > entry.fromUnixMs && entry.untilUnixMs > clock.unixMs()))
        refuse("it must end after it begins, and after now");
      if (entry.untilUnixMs > clock.unixMs() + maintenanceAheadMaxMs) refuse("it must end within three months");
      await store.addMaintenance(entry);
      await operations.follow();
      return { maintenance: toProtocol(entry) };
    }),

    cancelMaintenance: calls.unary(async ({ maintenanceId }) => {
      if (!(await store.cancelMaintenance(maintenanceId))) {
        throw new OperatingError(
          "maintenance-unknown",
          `Cannot cancel maintenance ${maintenanceId.slice(0, 64)}: there is none of that id`,
        );
      }
      await operations.follow();
      return {};
    }),

    listMaintenance: calls.unary(async () => ({ maintenance: (await store.maintenanceAfter(clock.unixMs())).map(toProtocol) })),

    checkTurnUp: calls.unary(async ({ applianceId, boxChecks }) => {
      const appliance = applianceOf(applianceId);
      if (boxChecks.length > boxChecksMax) refuse(`${boxChecks.length} checks of the box, ${boxChecksMax} at most`);
      const prefixes = options.prefixesOfSite(appliance.identity.siteId);
      const own = await checkAppliance({ appliance, clockAheadMs: registry.clockAheadMsOf(applianceId), prefixes });
      const boxSeen = {
        name: "box",
        passed: boxChecks.length > 0,
        found: boxChecks.length > 0 ? "checked itself" : "has not checked itself",
      };
      const checks = [...own, boxSeen, ...boxChecks.map((check) => ({ ...check, name: `box ${check.name}` }))];
      const turnedUp = checks.every(({ passed }) => passed);
      if (turnedUp) {
        await store.setTurnedUp(applianceId, clock.unixMs());
        await operations.follow();
        log.info({ applianceId, siteId: appliance.identity.siteId }, "appliance turned up");
      }
      return { checks, turnedUp };
    }),
  };
}

function checkedReason(reason: string): string {
  const text = reason.trim() || "by an operator";
  if (text.length > reasonMaxLength) refuse(`the reason must have ${reasonMaxLength} characters at most`);
  return text;
}

function refuse(why: string): never {
  throw new OperatingError("invalid-argument", `Cannot take the order: ${why}`);
}

function toProtocol({ fromUnixMs, untilUnixMs, ...rest }: Maintenance): ProtocolMaintenance {
  return { ...rest, fromUnixMs: BigInt(fromUnixMs), untilUnixMs: BigInt(untilUnixMs) };
}
