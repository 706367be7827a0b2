// A fleet with routes and holdings that are made up, put together as the control plane puts its own together: for tests and for the bench.
import { ApplianceRole, type Headroom } from "../../fill-protocol/generated/millrace/fleet/v1/fleet.js";
import type { Clock } from "../../runtime/clock.js";
import { FleetRegistry, type Heartbeat } from "../fleet/fleet-registry.js";
import { HoldingsRegister } from "../fleet/holdings-register.js";
import { Numbering } from "../fleet/numbering.js";
import { RouteTable } from "./route-table.js";
import { SessionLedger } from "./session-ledger.js";
import { SteeringFleet } from "./steering-fleet.js";
import { Steering, type SteeringOptions } from "./steering.js";

export interface MadeUpBox {
  id: string;
  siteId: string;
  role?: "edge" | "storage";
  capacityBytes?: number;
  nicBitsPerSecond?: number;
  /** Paths that it holds whole, as version "1". */
  holds?: readonly string[];
  /** Paths of which it holds a part. */
  holdsPart?: readonly string[];
  /** Anything else that its heartbeat says. */
  says?: Partial<Heartbeat>;
}

export interface MadeUpFleetOptions {
  clock: Clock;
  limits?: Partial<SteeringOptions["limits"]>;
  decisionLog?: SteeringOptions["decisionLog"];
  /** Default 6 s. */
  expiresAfterMs?: number;
}

const bootId = "boot-1";

export class MadeUpFleet {
  readonly registry: FleetRegistry;
  readonly holdings: HoldingsRegister;
  readonly routes = new RouteTable();
  readonly fleet: SteeringFleet;
  readonly ledger = new SessionLedger({ validForMs: 60_000 });
  readonly steering: Steering;

  constructor({ clock, limits, decisionLog, expiresAfterMs = 6000 }: MadeUpFleetOptions) {
    const numbers = new Numbering();
    this.registry = new FleetRegistry({ clock, expiresAfterMs });
    this.holdings = new HoldingsRegister(numbers);
    const onSite = (siteId: string) => {
      if (!this.routes.hasSite(siteId)) this.routes.setSite({ siteId, rank: Infinity });
    };
    this.fleet = new SteeringFleet({ registry: this.registry, numbers, onSite });
    this.steering = new Steering({
      routes: this.routes,
      fleet: this.fleet,
      holdings: this.holdings,
      ledger: this.ledger,
      decisionLog,
      clock,
      limits: {
        minUrls: 3,
        maxUrls: 10,
        minSites: 2,
        nominalBitsPerSecond: 5_000_000,
        reservationValidFor: 60_000,
        contentSteeringTtl: 10_000,
        ...limits,
      },
      metrics: { rankings: { inc: () => {} }, rejections: { inc: () => {} } } as unknown as SteeringOptions["metrics"],
    });
  }

  add(...boxes: MadeUpBox[]): void {
    for (const { id, siteId, role = "edge", capacityBytes = 1000, holds = [], holdsPart = [], says = {}, nicBitsPerSecond = 0 } of boxes) {
      const identity = {
        applianceId: id,
        siteId,
        clusterId: siteId,
        role: role === "edge" ? ApplianceRole.APPLIANCE_ROLE_EDGE : ApplianceRole.APPLIANCE_ROLE_STORAGE,
        dataUrl: `http://${id}/`,
        adminUrl: "",
        capacityBytes: BigInt(capacityBytes),
        chunkBytes: 1,
        softwareVersion: "0",
      };
      this.registry.register(identity, bootId);
      this.holdings.startBoot(id, bootId);
      const holdings = [
        ...holds.map((path) => ({ path, etag: "1", chunksHeld: 1, chunksTotal: 1 })),
        ...holdsPart.map((path) => ({ path, etag: "1", chunksHeld: 1, chunksTotal: 2 })),
      ];
      this.holdings.apply({ applianceId: id, bootId, sequence: 1, replaceAll: true, holdings });
      const headroom: Headroom = {
        nicBitsPerSecond: BigInt(nicBitsPerSecond),
        nicFreePermille: 1000,
        diskFreePermille: 1000,
        cpuFreePermille: 1000,
      };
      this.beat(id, { headroom, ...says });
    }
  }

  beat(applianceId: string, says: Partial<Heartbeat> = {}): void {
    const totals = { requests: 0n, bytesSent: 0n, bytesFilled: 0n, heldBytes: 0n };
    this.registry.heartbeat({
      applianceId,
      bootId,
      draining: false,
      totals,
      disks: [],
      requestHeadroom: 10,
      fillHeadroom: 10,
      manifest: undefined,
      ...says,
    });
    this.fleet.refresh(applianceId);
  }
}
