// What each appliance holds, kept from its numbered reports. In memory: a restarted control plane asks for it again.
import type { Holding } from "../../fill-protocol/generated/millrace/fill/v1/fill.js";

/** Objects of one appliance: a box of 300 TB with objects of 300 MB. */
export const holdingsPerApplianceMax = 1_000_000;

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
  bootId: string;
  /** Of the last report applied; 0 = none. */
  sequence: number;
  /** A full report of this boot has been applied and no later one is missing. */
  complete: boolean;
  holdings: Map<string, Holding>;
  /** How many of `holdings` are whole. */
  wholeCount: number;
}

const isWhole = (holding: Holding) => holding.chunksTotal > 0 && holding.chunksHeld >= holding.chunksTotal;

export class HoldingsRegister {
  readonly #inventories = new Map<string, Inventory>();

  /** Begins the reports of a boot at 1 and forgets those of the boot before. Does nothing when the boot is the known one. */
  startBoot(applianceId: string, bootId: string): void {
    if (this.#inventories.get(applianceId)?.bootId === bootId) return;
    this.#inventories.set(applianceId, { bootId, sequence: 0, complete: false, holdings: new Map(), wholeCount: 0 });
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
    const before = report.replaceAll ? 0 : inventory.holdings.size;
    if (before + report.holdings.length > holdingsPerApplianceMax) return "full";
    if (report.replaceAll) {
      inventory.holdings.clear();
      inventory.wholeCount = 0;
      inventory.complete = true;
    }
    for (const holding of report.holdings) {
      const known = inventory.holdings.get(holding.path);
      if (known && isWhole(known)) inventory.wholeCount--;
      if (holding.chunksHeld === 0) inventory.holdings.delete(holding.path);
      else inventory.holdings.set(holding.path, holding);
      if (isWhole(holding)) inventory.wholeCount++;
    }
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
    const holdings = this.#inventories.get(applianceId)?.holdings;
    if (!holdings || holdings.size === 0) return "none";
    let whole = 0;
    let partly = 0;
    for (const { path, etag } of wanted) {
      const holding = holdings.get(path);
      if (!holding || (etag !== undefined && holding.etag !== etag)) continue;
      if (isWhole(holding)) whole++;
      else partly++;
    }
    if (whole === wanted.length && whole > 0) return "all";
    return whole + partly > 0 ? "some" : "none";
  }

  /** What the appliance holds of the object at `path`. */
  holdingOf(applianceId: string, path: string): Holding | undefined {
    return this.#inventories.get(applianceId)?.holdings.get(path);
  }

  /** How many objects the appliance holds whole. */
  wholeCountOf(applianceId: string): number {
    return this.#inventories.get(applianceId)?.wholeCount ?? 0;
  }
}
