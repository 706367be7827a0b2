// Writes every steering decision to a file of JSON lines that is rotated: for "why was this player sent there", and to play it again
// without a site.
//
//   {"k":"fleet","t":…,"boxes":[[number,"id","site","edge",network bits/s],…]}     at the start of each file and when a box comes
//   {"k":"rank","t":…,"s":session,"c":client,"o":first path,"b":bits/s,"p":prefix,"r":[numbers, best first],"h":[1 where it holds all],"x":{"C":[…],"H":[…]}}
//   {"k":"end","t":…,"s":session}                                                   released, or not renewed in time
import { mkdirSync, renameSync, rmSync, statSync } from "node:fs";
import { dirname } from "node:path";
import sonicBoom from "sonic-boom";
import type { Log } from "../../runtime/log.js";
import { messageOf, OperatingError } from "../../runtime/operating-error.js";
import type { ContentGroup } from "../fleet/content-group.js";
import type { Decision } from "./decide.js";
import type { SiteOrder } from "./route-table.js";
import type { Box } from "./steering-fleet.js";

/** Lines that are kept in memory until so many bytes are worth a write. */
const writeBytesMin = 64 * 1024;
/** Beyond it lines are dropped: a disk that is slow or full must not fill the memory. */
const waitingBytesMax = 8 * 2 ** 20;
/** A line is in the file after this at the latest. */
const flushEveryMs = 500;

export interface DecisionLogOptions {
  file: string;
  /** A file of this size is rotated away. */
  bytesPerFile: number;
  /** Files kept, the one that is written included. */
  filesMax: number;
  log: Log;
}

export interface LoggedDecision {
  atUnixMs: number;
  sessionId: string;
  clientAddress: string;
  group: ContentGroup;
  bitsPerSecond: number;
  order: SiteOrder;
  decision: Decision;
}

/** @throws OperatingError "decision-log-unusable". */
export function openDecisionLog(
  { file, bytesPerFile, files }: { file: string; bytesPerFile: number; files: number },
  { log, boxes }: { log: Log; boxes: () => Iterable<Box> },
): DecisionLog {
  return new DecisionLog({ file, bytesPerFile, filesMax: files, log }, boxes);
}

export class DecisionLog {
  readonly #options: DecisionLogOptions;
  readonly #out: sonicBoom.SonicBoom;
  readonly #timer: NodeJS.Timeout;
  readonly #known = new Set<number>();
  readonly #boxes: () => Iterable<Box>;
  #bytes: number;
  #dropped = 0;
  #failing = false;

  /** @throws OperatingError "decision-log-unusable". */
  constructor(options: DecisionLogOptions, boxes: () => Iterable<Box>) {
    const { file, log } = options;
    this.#options = options;
    this.#boxes = boxes;
    try {
      mkdirSync(dirname(file), { recursive: true });
      this.#out = new sonicBoom.SonicBoom({ dest: file, append: true, sync: false, minLength: writeBytesMin, maxLength: waitingBytesMax });
      this.#bytes = statSync(file, { throwIfNoEntry: false })?.size ?? 0;
    } catch (error) {
      throw new OperatingError("decision-log-unusable", `Cannot write decision log ${file}: ${messageOf(error)}`, {
        source: file,
        cause: error,
      });
    }
    this.#out.on("drop", () => this.#dropped++);
    this.#out.on("error", (error: unknown) => {
      if (!this.#failing) log.error({ file, error: messageOf(error) }, "decision log cannot be written; decisions go on");
      this.#failing = true;
    });
    this.#out.on("write", () => (this.#failing = false));
    this.#timer = setInterval(() => this.#out.flush(), flushEveryMs).unref();
  }

  /** Lines that were not written because the disk did not keep up. */
  get dropped(): number {
    return this.#dropped;
  }

  write({ atUnixMs, sessionId, clientAddress, group, bitsPerSecond, order, decision }: LoggedDecision): void {
    const { ranked, rejected, letters } = decision;
    if (ranked.some(({ number }) => !this.#known.has(number)) || rejected.some(({ number }) => !this.#known.has(number)))
      this.#tellFleet(atUnixMs);
    const withLetter = (letter: string) => rejected.filter((_, at) => letters[at] === letter).map(({ number }) => number);
    this.#line({
      k: "rank",
      t: atUnixMs,
      s: sessionId,
      c: clientAddress,
      o: group.wanted[0]!.path,
      b: bitsPerSecond,
      p: order.matchedPrefix ?? "",
      r: ranked.map(({ number }) => number),
      h: ranked.map(({ number }) => (group.holdsAll(number) ? 1 : 0)),
      x: { C: withLetter("C"), H: withLetter("H") },
    });
    if (this.#bytes > this.#options.bytesPerFile) this.#rotate();
  }

  writeEnd(atUnixMs: number, sessionId: string): void {
    this.#line({ k: "end", t: atUnixMs, s: sessionId });
  }

  /** Writes what waits and closes. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    await new Promise<void>((resolve) => {
      this.#out.once("close", resolve);
      this.#out.once("error", () => resolve());
      this.#out.end();
    });
  }

  #tellFleet(atUnixMs: number): void {
    const boxes = [...this.#boxes()];
    for (const { number } of boxes) this.#known.add(number);
    this.#line({ k: "fleet", t: atUnixMs, boxes: boxes.map((box) => [box.number, box.id, box.siteId, box.role, box.nicBitsPerSecond]) });
  }

  #line(value: unknown): void {
    const text = `${JSON.stringify(value)}\n`;
    this.#bytes += text.length;
    this.#out.write(text);
  }

  #rotate(): void {
    const { file, filesMax, log } = this.#options;
    try {
      this.#out.flushSync();
      rmSync(`${file}.${filesMax - 1}`, { force: true });
      for (let at = filesMax - 2; at >= 1; at--) {
        if (statSync(`${file}.${at}`, { throwIfNoEntry: false })) renameSync(`${file}.${at}`, `${file}.${at + 1}`);
      }
      if (filesMax > 1) renameSync(file, `${file}.1`);
      else rmSync(file);
      this.#out.reopen();
      this.#known.clear();
    } catch (error) {
      log.error({ file, error: messageOf(error) }, "decision log cannot be rotated");
    }
    // Also after a failure: the next try comes when as much has been written again.
    this.#bytes = 0;
  }
}
