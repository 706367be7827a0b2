// What each appliance holds, kept from its numbered reports. In memory: a restarted control plane asks for it again.
//
// Turned round for steering: by object, the appliances that hold it whole, as bits; exact. What is held in part, which is the share that requests
// bring in, is kept in a filter per appliance: it only tells "holds something of it" from "holds nothing".
import { LRUCache } from "lru-cache";
import type { Holding } from "../../fill-protocol/generated/millrace/fill/v1/fill.js";
import { Numbering } from "./numbering.js";
import { ContentGroup } from "./content-group.js";
import { CuckooFilter } from "./cuckoo-filter.js";

/** Objects of one appliance: a box of 300 TB with objects of 300 MB. */
export const holdingsPerApplianceMax = 1_000_000;
/** Sets of objects that are kept counted: titles that were played lately. 2 KiB each with 1,000 appliances. */
const groupsMax = 20_000;
/** Objects of a group that are looked up in filters to tell "some" from "none". */
const partLookupsMax = 64;

/** How much of a set of objects an appliance holds. */
export type Holds = "all" | "some" | "none";

/** An object that is wanted. */
export interface WantedObject {
  path: string;
  /** The version that is wanted; left out, any will do. */
  etag?: string;
}

export interface HoldingsReport {
  applianceId: string;
  bootId: string;
  sequence: number;
  replaceAll: boolean;
  holdings: readonly Holding[];
}

export type ReportVerdict = "applied" | "sent-before" | "gap" | "unknown-boot" | "full";

interface Inventory {
  number: number;
  bootId: string;
  /** Of the last report applied; 0 = none. */
  sequence: number;
  /** A full report of this boot has been applied and no later one is missing. */
  complete: boolean;
  wholeCount: number;
  /** Paths of which something is held, and not all. */
  parts: CuckooFilter;
}

/** A path, and who holds it whole in which version. */
interface KnownObject {
  versions: { etag: string; holders: Uint32Array }[];
  /** Groups with this path, with the version they want. */
  groups: { group: ContentGroup; etag: string | undefined }[];
}

const isWhole = (holding: Holding) => holding.chunksTotal > 0 && holding.chunksHeld >= holding.chunksTotal;

export class HoldingsRegister {
  readonly #numbers: Numbering;
  readonly #inventories = new Map<string, Inventory>();
  readonly #objects = new Map<string, KnownObject>();
  readonly #groups = new LRUCache<string, ContentGroup>({ max: groupsMax, dispose: (group) => this.#forgetGroup(group) });

  constructor(numbers: Numbering = new Numbering()) {
    this.#numbers = numbers;
  }

  /** Begins the reports of a boot at 1 and forgets those of the boot before. Does nothing when the boot is the known one. */
  startBoot(applianceId: string, bootId: string): void {
    const known = this.#inventories.get(applianceId);
    if (known?.bootId === bootId) return;
    if (known) this.#clear(known);
    const number = this.#numbers.numberOf(applianceId);
    this.#inventories.set(applianceId, { number, bootId, sequence: 0, complete: false, wholeCount: 0, parts: new CuckooFilter() });
  }

  /** The boot must have been started. */
  apply(report: HoldingsReport): ReportVerdict {
    const inventory = this.#inventories.get(report.applianceId);
    if (!inventory || inventory.bootId !== report.bootId) return "unknown-boot";
    if (report.sequence <= inventory.sequence) return "sent-before";
    // The first part of a full report stands on nothing before it, so it may skip numbers.
    if (!report.replaceAll && report.sequence !== inventory.sequence + 1) {
      inventory.complete = false;
      return "gap";
    }
    const before = report.replaceAll ? 0 : inventory.wholeCount + inventory.parts.size;
    if (before + report.holdings.length > holdingsPerApplianceMax) return "full";
    if (report.replaceAll) {
      this.#clear(inventory);
      inventory.complete = true;
    }
    for (const holding of report.holdings) this.#applyHolding(inventory, holding);
    inventory.sequence = report.sequence;
    return "applied";
  }

  /** The last report that was applied; 0 = none. */
  sequenceOf(applianceId: string): number {
    return this.#inventories.get(applianceId)?.sequence ?? 0;
  }

  /** Whether an appliance that had `acknowledgedSequence` acknowledged must report everything. */
  mustReportAll(applianceId: string, acknowledgedSequence: number): boolean {
    const inventory = this.#inventories.get(applianceId);
    if (!inventory?.complete) return true;
    // One behind is an acknowledgement on its way or lost: the appliance will send that report again.
    return acknowledgedSequence !== inventory.sequence && acknowledgedSequence !== inventory.sequence - 1;
  }

  holdsOf(applianceId: string, wanted: readonly WantedObject[]): Holds {
    const inventory = this.#inventories.get(applianceId);
    if (!inventory || wanted.length === 0) return "none";
    let whole = 0;
    for (const { path, etag } of wanted) if (this.#isHeldWhole(path, etag, inventory.number)) whole++;
    return this.#holdsWith(inventory, wanted, whole);
  }

  /**
   * The counted group of `wanted`, one object at least: the same one for the same `key` until it is long unused.
   *
   * @param key names `wanted` with its versions: another set needs another key.
   */
  groupOf(key: string, wanted: () => readonly WantedObject[]): ContentGroup {
    const known = this.#groups.get(key);
    if (known) return known;
    const group = new ContentGroup(wanted(), this.#numbers.count);
    for (const { path, etag } of group.wanted) {
      const object = this.#objectAt(path);
      object.groups.push({ group, etag });
      for (const { etag: held, holders } of object.versions) {
        if (etag !== undefined && etag !== held) continue;
        for (const appliance of membersOf(holders)) group.count(appliance, 1);
      }
    }
    this.#groups.set(key, group);
    return group;
  }

  /** As `holdsOf`, for a group. */
  holdsOfGroup(applianceId: string, group: ContentGroup): Holds {
    const inventory = this.#inventories.get(applianceId);
    return inventory ? this.#holdsWith(inventory, group.wanted, group.wholeCountOf(inventory.number)) : "none";
  }

  /** How many objects the appliance holds whole. */
  wholeCountOf(applianceId: string): number {
    return this.#inventories.get(applianceId)?.wholeCount ?? 0;
  }

  #holdsWith({ parts }: Inventory, wanted: readonly WantedObject[], whole: number): Holds {
    if (whole === wanted.length) return "all";
    if (whole > 0) return "some";
    return parts.size > 0 && wanted.slice(0, partLookupsMax).some(({ path }) => parts.has(path)) ? "some" : "none";
  }

  #applyHolding(inventory: Inventory, holding: Holding): void {
    const { path, etag } = holding;
    const object = this.#objects.get(path);
    for (const { etag: held } of object?.versions ?? []) {
      if (!isWhole(holding) || held !== etag) this.#setWhole(inventory, path, held, false);
    }
    if (isWhole(holding)) this.#setWhole(inventory, path, etag, true);
    const isPart = holding.chunksHeld > 0 && !isWhole(holding);
    const wasPart = inventory.parts.size > 0 && inventory.parts.has(path);
    if (isPart && !wasPart) inventory.parts.add(path);
    if (!isPart && wasPart) inventory.parts.delete(path);
  }

  #setWhole(inventory: Inventory, path: string, etag: string, whole: boolean): void {
    const object = this.#objectAt(path);
    let version = object.versions.find((version) => version.etag === etag);
    if (!version) {
      if (!whole) return;
      version = { etag, holders: new Uint32Array(1) };
      object.versions.push(version);
    }
    const { number } = inventory;
    if (hasBit(version.holders, number) === whole) return;
    version.holders = withBit(version.holders, number, whole);
    inventory.wholeCount += whole ? 1 : -1;
    for (const { group, etag: wanted } of object.groups) {
      if (wanted === undefined || wanted === etag) group.count(number, whole ? 1 : -1);
    }
    if (!whole && version.holders.every((word) => word === 0)) {
      object.versions.splice(object.versions.indexOf(version), 1);
      this.#forgetIfUnused(path, object);
    }
  }

  #isHeldWhole(path: string, etag: string | undefined, appliance: number): boolean {
    const versions = this.#objects.get(path)?.versions ?? [];
    return versions.some((version) => (etag === undefined || version.etag === etag) && hasBit(version.holders, appliance));
  }

  #clear(inventory: Inventory): void {
    inventory.parts.clear();
    if (inventory.wholeCount === 0) return;
    for (const [path, object] of this.#objects) {
      for (const { etag, holders } of object.versions.slice()) {
        if (hasBit(holders, inventory.number)) this.#setWhole(inventory, path, etag, false);
      }
    }
  }

  #objectAt(path: string): KnownObject {
    let object = this.#objects.get(path);
    if (!object) this.#objects.set(path, (object = { versions: [], groups: [] }));
    return object;
  }

  #forgetGroup(group: ContentGroup): void {
    for (const { path } of group.wanted) {
      const object = this.#objects.get(path);
      if (!object) continue;
      object.groups = object.groups.filter((entry) => entry.group !== group);
      this.#forgetIfUnused(path, object);
    }
  }

  #forgetIfUnused(path: string, object: KnownObject): void {
    if (object.versions.length === 0 && object.groups.length === 0) this.#objects.delete(path);
  }
}

function hasBit(bits: Uint32Array, at: number): boolean {
  return (((bits[at >>> 5] ?? 0) >>> (at & 31)) & 1) === 1;
}

/** `bits`, or a longer copy, with the bit as it should be. */
function withBit(bits: Uint32Array, at: number, on: boolean): Uint32Array {
  let target = bits;
  if (at >>> 5 >= bits.length) {
    target = new Uint32Array(Math.max((at >>> 5) + 1, bits.length * 2));
    target.set(bits);
  }
  const mask = 1 << (at & 31);
  target[at >>> 5] = on ? target[at >>> 5]! | mask : target[at >>> 5]! & ~mask;
  return target;
}

function* membersOf(bits: Uint32Array): Generator<number> {
  for (let word = 0; word < bits.length; word++) {
    for (let rest = bits[word]!; rest !== 0; rest &= rest - 1) yield word * 32 + 31 - Math.clz32(rest & -rest);
  }
}
