// Which holdings report comes next: changes, or all of them, each with the number that makes it count once.
import type { Holding, ReportHoldingsRequest } from "../../fill-protocol/generated/millrace/fill/v1/fill.js";

/** Holdings in one report; keeps messages far below gRPC's 4 MiB. */
const holdingsPerReportMax = 1000;

/** What a report is made of; the caller adds who it is. */
export type HoldingsReport = Pick<ReportHoldingsRequest, "sequence" | "replaceAll" | "holdings">;

/** Keeps track of what the control plane has been told of this boot's holdings. */
export class HoldingsReporter {
  readonly #readHolding: (path: string) => Holding;
  readonly #listPaths: () => Iterable<string>;
  #changed = new Set<string>();
  #acknowledged = 0n;
  /** The highest number given to a report of this boot. None is given twice, or the control plane takes the second for the first sent again. */
  #last = 0n;
  /** Sent, and not known to have arrived: it is sent again as it was. */
  #pending: HoldingsReport | undefined;
  /** Full report: its first part is still to be sent. */
  #replaceAll = true;

  constructor(readHolding: (path: string) => Holding, listPaths: () => Iterable<string>) {
    this.#readHolding = readHolding;
    this.#listPaths = listPaths;
  }

  get acknowledgedSequence(): bigint {
    return this.#acknowledged;
  }

  noteChanged(paths: Iterable<string>): void {
    for (const path of paths) this.#changed.add(path);
  }

  /** The control plane has lost what it was told: everything is told again, under numbers that go on. */
  reportAll(): void {
    this.#pending = undefined;
    this.#replaceAll = true;
    this.#changed = new Set(this.#listPaths());
  }

  /** The report to send now; undefined when there is nothing new. */
  next(): HoldingsReport | undefined {
    if (this.#pending) return this.#pending;
    if (this.#changed.size === 0 && !this.#replaceAll) return undefined;
    const paths: string[] = [];
    for (const path of this.#changed) {
      if (paths.length === holdingsPerReportMax) break;
      paths.push(path);
      this.#changed.delete(path);
    }
    this.#last++;
    this.#pending = { sequence: this.#last, replaceAll: this.#replaceAll, holdings: paths.map(this.#readHolding) };
    this.#replaceAll = false;
    return this.#pending;
  }

  acknowledge(sequence: bigint): void {
    if (this.#pending?.sequence !== sequence) return;
    this.#pending = undefined;
    this.#acknowledged = sequence;
  }
}
