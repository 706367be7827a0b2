// Writes every steering decision to a file of JSON lines that is rotated: for "why was this player sent there", and to play it again
// without a site.
//
//   {"k":"fleet","t":…,"boxes":[[number,"id","site","edge",network bits/s],…]}     at the start of each file and when a box comes
//   {"k":"rank","t":…,"s":session,"c":client,"o":first path,"b":bits/s,"p":prefix,"r":[numbers, best first],"h":[1 where it holds all],"x":{"C":[…],"H":[…]}}
//   {"k":"end","t":…,"s":session}                                                   released, or not renewed in time
import { mkdirSync, openSync, closeSync } from "node:fs";
import { open, rename, rm, type FileHandle } from "node:fs/promises";
import { dirname } from "node:path";
import type { Log } from "../../runtime/log.js";
import { errnoOf, messageOf, OperatingError } from "../../runtime/operating-error.js";
import type { ContentGroup } from "../fleet/content-group.js";
import type { Decision } from "./decide.js";
import type { SiteOrder } from "./route-table.js";
import type { Box } from "./steering-fleet.js";

/** Beyond it lines are dropped: a disk that is slow or full must not fill the memory. */
const waitingBytesMax = 8 * 2 ** 20;
/** A line is in the file after this, if the disk keeps up. */
const flushEveryMs = 500;
/** Lines of one write. */
const writeBytesMax = 256 * 1024;

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
  readonly #timer: NodeJS.Timeout;
  readonly #known = new Set<number>();
  readonly #boxes: () => Iterable<Box>;
  #waiting: string[] = [];
  #waitingBytes = 0;
  #dropped = 0;
  #failing = false;
  #handle: FileHandle | undefined;
  #fileBytes = 0;
  #lastUnixMs = 0;
  #flushing: Promise<void> = Promise.resolve();

  /** @throws OperatingError "decision-log-unusable". */
  constructor(options: DecisionLogOptions, boxes: () => Iterable<Box>) {
    const { file } = options;
    this.#options = options;
    this.#boxes = boxes;
    try {
      mkdirSync(dirname(file), { recursive: true });
      closeSync(openSync(file, "a"));
    } catch (error) {
      throw new OperatingError("decision-log-unusable", `Cannot write decision log ${file}: ${messageOf(error)}`, {
        source: file,
        cause: error,
      });
    }
    this.#timer = setInterval(() => this.#flush(), flushEveryMs).unref();
  }

  /** Lines that were not written because the disk did not take them. */
  get dropped(): number {
    return this.#dropped;
  }

  write({ atUnixMs, sessionId, clientAddress, group, bitsPerSecond, order, decision }: LoggedDecision): void {
    const { ranked, rejected, letters } = decision;
    this.#lastUnixMs = atUnixMs;
    if (ranked.some(({ number }) => !this.#known.has(number)) || rejected.some(({ number }) => !this.#known.has(number))) {
      this.#line(this.#fleetLine());
    }
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
  }

  writeEnd(atUnixMs: number, sessionId: string): void {
    this.#line({ k: "end", t: atUnixMs, s: sessionId });
  }

  /** Writes what waits and closes. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#flush();
    await this.#flushing;
    await this.#handle?.close();
  }

  #fleetLine(): unknown {
    const boxes = [...this.#boxes()];
    for (const { number } of boxes) this.#known.add(number);
    return { k: "fleet", t: this.#lastUnixMs, boxes: boxes.map((box) => [box.number, box.id, box.siteId, box.role, box.nicBitsPerSecond]) };
  }

  #line(value: unknown): void {
    const text = `${JSON.stringify(value)}\n`;
    if (this.#waitingBytes + text.length > waitingBytesMax) {
      this.#dropped++;
      return;
    }
    this.#waiting.push(text);
    this.#waitingBytes += text.length;
  }

  #flush(): void {
    this.#flushing = this.#flushing.then(() => this.#writeWaiting());
  }

  async #writeWaiting(): Promise<void> {
    const lines = this.#waiting;
    this.#waiting = [];
    this.#waitingBytes = 0;
    let at = 0;
    try {
      while (at < lines.length) {
        await this.#openFile();
        let batch = "";
        let end = at;
        const room = Math.min(writeBytesMax, this.#options.bytesPerFile - this.#fileBytes);
        // At least one, or a line longer than a file would wait for ever.
        while (end < lines.length && (end === at || batch.length + lines[end]!.length <= room)) batch += lines[end++];
        await this.#handle!.appendFile(batch);
        this.#fileBytes += batch.length;
        at = end;
        this.#failing = false;
        if (this.#fileBytes >= this.#options.bytesPerFile) await this.#rotate();
      }
    } catch (error) {
      this.#dropped += lines.length - at;
      const { file, log } = this.#options;
      if (!this.#failing) log.error({ file, error: messageOf(error) }, "decision log cannot be written; decisions go on");
      this.#failing = true;
      await this.#handle?.close().catch(() => {});
      this.#handle = undefined;
    }
  }

  /** Opens the file where it ends, and begins it with the fleet. */
  async #openFile(): Promise<void> {
    if (this.#handle) return;
    this.#handle = await open(this.#options.file, "a");
    this.#fileBytes = (await this.#handle.stat()).size;
    const head = `${JSON.stringify(this.#fleetLine())}\n`;
    await this.#handle.appendFile(head);
    this.#fileBytes += head.length;
  }

  async #rotate(): Promise<void> {
    const { file, filesMax } = this.#options;
    await this.#handle?.close();
    this.#handle = undefined;
    await rm(filesMax === 1 ? file : `${file}.${filesMax - 1}`, { force: true });
    for (let at = filesMax - 2; at >= 0; at--) {
      const from = at === 0 ? file : `${file}.${at}`;
      // One that is not there yet is no failure.
      await rename(from, `${file}.${at + 1}`).catch((error: unknown) => {
        if (errnoOf(error) !== "ENOENT") throw error;
      });
    }
  }
}
