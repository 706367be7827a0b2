// The fleet as decisions need it: boxes by site, each with its health, its weight and the load that is reserved on it. Kept up by what the fleet
// registry is told, so that a decision looks only at the boxes it may choose.
import { xxh32 } from "@node-rs/xxhash";
import { ApplianceRole } from "../../fill-protocol/generated/millrace/fleet/v1/fleet.js";
import { whyStrained, whyUnhealthy } from "../fleet/appliance.js";
import type { FleetRegistry } from "../fleet/fleet-registry.js";
import type { Numbering } from "../fleet/numbering.js";
import type { OrderedSite } from "./site-order.js";

/** An appliance that players may be sent to. */
export interface Box {
  readonly id: string;
  readonly number: number;
  readonly hash: number;
  siteId: string;
  role: "edge" | "storage";
  dataUrl: string;
  capacityBytes: number;
  /** What its network can carry; 0 = not known. */
  nicBitsPerSecond: number;
  /** Share of the titles it should get in its site; above 0. Set by `SteeringSite`. */
  weight: number;
  /** Why no player may be sent to it. */
  unhealthy: string | undefined;
  /** Why players should go elsewhere if there is an elsewhere. */
  strained: string | undefined;
  /** On the monotonic clock: from then on it must be asked whether it still lives. */
  silentAtMs: number;
  /** Bits per second that are reserved for players sent to it. */
  reserved: number;
  /** It had more than its share and has not fallen well below it since. */
  isOverShare: boolean;
}

export interface SteeringSite {
  readonly siteId: string;
  readonly edges: Box[];
  readonly storages: Box[];
}

export class SteeringFleet {
  readonly #registry: FleetRegistry;
  readonly #numbers: Numbering;
  readonly #boxes = new Map<string, Box>();
  readonly #sites = new Map<string, SteeringSite>();
  /** What `sitesIn` has answered: the same order comes for all clients of a prefix. */
  #ordered = new WeakMap<readonly OrderedSite[], readonly SteeringSite[]>();
  /** Told of a site when its first box comes. */
  readonly #onSite: (siteId: string) => void;

  constructor(options: { registry: FleetRegistry; numbers: Numbering; onSite: (siteId: string) => void }) {
    this.#registry = options.registry;
    this.#numbers = options.numbers;
    this.#onSite = options.onSite;
  }

  get(applianceId: string): Box | undefined {
    return this.#boxes.get(applianceId);
  }

  /** Those of `order` that have boxes, in its order. */
  sitesIn(order: readonly OrderedSite[]): readonly SteeringSite[] {
    let sites = this.#ordered.get(order);
    if (!sites) {
      sites = order.flatMap(({ siteId }) => this.#sites.get(siteId) ?? []);
      this.#ordered.set(order, sites);
    }
    return sites;
  }

  boxes(): Iterable<Box> {
    return this.#boxes.values();
  }

  /** Takes over what the registry knows of the appliance now. */
  refresh(applianceId: string): void {
    const appliance = this.#registry.get(applianceId);
    if (!appliance) return;
    const { siteId, role, dataUrl, capacityBytes } = appliance.identity;
    const known = this.#boxes.get(applianceId);
    const box: Box = known ?? {
      id: applianceId,
      number: this.#numbers.numberOf(applianceId),
      hash: xxh32(applianceId),
      siteId: "",
      role: "edge",
      dataUrl,
      capacityBytes: 0,
      nicBitsPerSecond: 0,
      weight: 1,
      unhealthy: undefined,
      strained: undefined,
      silentAtMs: 0,
      reserved: 0,
      isOverShare: false,
    };
    const before = `${box.siteId} ${box.role} ${box.capacityBytes} ${box.nicBitsPerSecond}`;
    const why = whyUnhealthy(appliance);
    box.strained = whyStrained(appliance);
    box.unhealthy = why === box.strained ? undefined : why;
    box.dataUrl = dataUrl;
    // Offline ones say so themselves and need not be asked again.
    box.silentAtMs = this.#registry.aliveUntilMs(applianceId) ?? Infinity;
    const roleName = role === ApplianceRole.APPLIANCE_ROLE_STORAGE ? "storage" : "edge";
    const nicBitsPerSecond = Number(appliance.headroom?.nicBitsPerSecond ?? 0n);
    if (before === `${siteId} ${roleName} ${Number(capacityBytes)} ${nicBitsPerSecond}`) return;
    if (known) this.#takeOut(known);
    Object.assign(box, { siteId, role: roleName, capacityBytes: Number(capacityBytes), nicBitsPerSecond });
    this.#boxes.set(applianceId, box);
    let site = this.#sites.get(siteId);
    if (!site) {
      this.#sites.set(siteId, (site = { siteId, edges: [], storages: [] }));
      this.#ordered = new WeakMap();
      this.#onSite(siteId);
    }
    const peers = roleName === "edge" ? site.edges : site.storages;
    peers.push(box);
    // By id, so that equal scores fall the same way everywhere.
    peers.sort((a, b) => (a.id < b.id ? -1 : 1));
    weigh(peers);
  }

  #takeOut(box: Box): void {
    const site = this.#sites.get(box.siteId);
    const peers = box.role === "edge" ? site?.edges : site?.storages;
    if (!peers) return;
    peers.splice(peers.indexOf(box), 1);
    weigh(peers);
  }
}

/** Weights by network where all tell theirs, else by bytes; not by headroom, which would move titles all the time. All 1 when they are equal. */
function weigh(peers: readonly Box[]): void {
  const byNetwork = peers.every(({ nicBitsPerSecond }) => nicBitsPerSecond > 0);
  const weights = peers.map(({ nicBitsPerSecond, capacityBytes }) => Math.max(1, byNetwork ? nicBitsPerSecond : capacityBytes));
  const areEqual = weights.every((weight) => weight === weights[0]);
  peers.forEach((box, at) => (box.weight = areEqual ? 1 : weights[at]!));
}
