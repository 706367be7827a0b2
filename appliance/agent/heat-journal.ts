// Heat on its way to the control plane: kept in files, interval by interval, until each report was acknowledged.
//
//   journal.json        which journal this is, and the number of the next report
//   12.open             what was collected since the interval began, a line of JSON per collection
//   9.report, 10.report intervals that have ended and wait for the control plane
//
// An interval counts once, whenever the process is killed:
//   1. `journal.json` reserves the numbers before the interval's file is made, so no number is given twice.
//   2. The interval ends: its reports are written from the open file, always the same ones, then the open file is removed. Killed in
//      between, the next start finds the open file and writes the same reports again. Only then may a report be sent.
//   3. A report is removed when it was acknowledged. Killed in between, it is sent again, and the control plane knows its number.
import { randomUUID } from "node:crypto";
import {
  appendFileSync,
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import type { Clock } from "../../runtime/clock.js";
import type { Log } from "../../runtime/log.js";
import { messageOf } from "../../runtime/operating-error.js";
import type { ObjectHeatSums } from "../heat-table.js";

/** The control plane takes no more objects in one report. */
const objectsPerReportMax = 5000;
/** Intervals of an hour have at most so many reports; objects beyond them are counted together. */
const reportsPerIntervalMax = 64;
/** Reports that wait for longer are dropped: their heat has decayed, and nobody repairs a control plane for longer. */
export const reportsKeptMs = 7 * 86_400_000;
/** And when they are more than this, the oldest go. */
export const journalBytesMax = 256 * 2 ** 20;

const headSchema = z.object({ journalId: z.string(), nextSequence: z.number().int().min(1) });
const lineSchema = z.object({
  t: z.number(),
  other: z.number(),
  o: z.array(z.tuple([z.string(), z.number(), z.number(), z.number(), z.number()])),
});
const reportSchema = z.object({ fromUnixMs: z.number(), toUnixMs: z.number(), otherBytes: z.number(), objects: lineSchema.shape.o });

export interface JournalReport extends z.infer<typeof reportSchema> {
  sequence: number;
}

export interface HeatJournalOptions {
  folder: string;
  clock: Clock;
  log: Log;
  /** How long an interval is. */
  intervalMs: number;
}

export class HeatJournal {
  readonly #options: HeatJournalOptions;
  #head: z.infer<typeof headSchema>;
  /** Numbers of reports that may be sent, and the bytes of each. */
  readonly #ready = new Map<number, number>();
  #open: { sequence: number; fromUnixMs: number; startedMs: number } | undefined;
  #droppedReports = 0;
  #failed = false;

  constructor(options: HeatJournalOptions) {
    this.#options = options;
    mkdirSync(options.folder, { recursive: true });
    this.#head = this.#readHead();
    for (const name of readdirSync(options.folder)) {
      const open = /^(\d+)\.open$/.exec(name);
      if (open) this.#close(Number(open[1]));
    }
    for (const name of readdirSync(options.folder)) {
      const report = /^(\d+)\.report$/.exec(name);
      if (report) this.#ready.set(Number(report[1]), statSync(join(options.folder, name)).size);
      else if (name.endsWith(".new")) rmSync(join(options.folder, name), { force: true });
    }
    this.#prune();
  }

  get journalId(): string {
    return this.#head.journalId;
  }

  /** Reports that wait, and those that were dropped since the start. */
  get counts(): { waiting: number; dropped: number } {
    return { waiting: this.#ready.size, dropped: this.#droppedReports };
  }

  /** Adds what was collected, and ends the interval when its time has come. A disk that fails costs heat and nothing else. */
  record(heat: ReadonlyMap<string, ObjectHeatSums>, otherBytes: number): void {
    const { clock, intervalMs, log } = this.#options;
    try {
      if (heat.size > 0 || otherBytes > 0) {
        this.#open ??= this.#begin();
        const objects = [...heat].map(([path, sum]) => [path, sum.served, sum.readThrough, sum.divertedContent, sum.divertedHealth]);
        const line = `${JSON.stringify({ t: clock.unixMs(), other: otherBytes, o: objects })}\n`;
        appendFileSync(this.#file(`${this.#open.sequence}.open`), line, { mode: 0o600 });
      }
      // By the monotonic clock: a wall clock that is set does not stretch an interval.
      if (this.#open && clock.monotonicMs() - this.#open.startedMs >= intervalMs) this.endInterval();
      this.#failed = false;
    } catch (error) {
      if (!this.#failed) log.error({ error: messageOf(error) }, "heat cannot be kept; look at the disk of the index");
      this.#failed = true;
    }
  }

  endInterval(): void {
    if (!this.#open) return;
    const { sequence } = this.#open;
    this.#open = undefined;
    this.#close(sequence);
    this.#prune();
  }

  /** The oldest report that waits. */
  next(): JournalReport | undefined {
    for (const sequence of [...this.#ready.keys()].sort((a, b) => a - b)) {
      try {
        return { sequence, ...reportSchema.parse(JSON.parse(readFileSync(this.#file(`${sequence}.report`), "utf8"))) };
      } catch (error) {
        this.#options.log.error({ sequence, error: messageOf(error) }, "a report of heat cannot be read, and is dropped");
        this.#droppedReports++;
        this.#remove(sequence);
      }
    }
    return undefined;
  }

  acknowledge(sequence: number): void {
    if (this.#ready.has(sequence)) this.#remove(sequence);
  }

  #begin() {
    const { clock } = this.#options;
    const sequence = this.#head.nextSequence;
    const head = { ...this.#head, nextSequence: sequence + reportsPerIntervalMax };
    this.#replace("journal.json", JSON.stringify(head));
    this.#head = head;
    return { sequence, fromUnixMs: clock.unixMs(), startedMs: clock.monotonicMs() };
  }

  /** Makes the reports of an interval from what was collected in it. */
  #close(first: number): void {
    const name = this.#file(`${first}.open`);
    if (!existsSync(name)) return;
    const sums = new Map<string, [string, number, number, number, number]>();
    let otherBytes = 0;
    let fromUnixMs = Infinity;
    let toUnixMs = 0;
    for (const text of readFileSync(name, "utf8").split("\n")) {
      const line = parseLine(text);
      if (!line) continue;
      fromUnixMs = Math.min(fromUnixMs, line.t);
      toUnixMs = Math.max(toUnixMs, line.t);
      otherBytes += line.other;
      for (const [path, ...more] of line.o) {
        const sum = sums.get(path);
        if (!sum) sums.set(path, [path, ...more]);
        else for (let at = 0; at < 4; at++) (sum[at + 1] as number) += more[at]!;
      }
    }
    const objects = [...sums.values()].sort((a, b) => (a[0] < b[0] ? -1 : 1));
    for (const [, served] of objects.splice(objectsPerReportMax * reportsPerIntervalMax)) otherBytes += served;
    for (let part = 0; part === 0 ? toUnixMs > 0 : part * objectsPerReportMax < objects.length; part++) {
      const sequence = first + part;
      const report: z.infer<typeof reportSchema> = {
        fromUnixMs,
        toUnixMs,
        otherBytes: part === 0 ? otherBytes : 0,
        objects: objects.slice(part * objectsPerReportMax, (part + 1) * objectsPerReportMax),
      };
      const text = JSON.stringify(report);
      this.#replace(`${sequence}.report`, text);
      this.#ready.set(sequence, text.length);
    }
    rmSync(name, { force: true });
  }

  #prune(): void {
    const { clock, log } = this.#options;
    let bytes = [...this.#ready.values()].reduce((sum, one) => sum + one, 0);
    let dropped = 0;
    for (const sequence of [...this.#ready.keys()].sort((a, b) => a - b)) {
      const file = this.#file(`${sequence}.report`);
      // A clock that leaps ahead makes all of them old; one in the future is one that was set back.
      const ageMs = existsSync(file) ? clock.unixMs() - statSync(file).mtimeMs : Infinity;
      if (bytes <= journalBytesMax && ageMs <= reportsKeptMs) break;
      bytes -= this.#ready.get(sequence)!;
      this.#remove(sequence);
      dropped++;
    }
    if (dropped > 0) log.warn({ reports: dropped }, "reports of heat were dropped: the control plane was away for too long");
    this.#droppedReports += dropped;
  }

  #readHead(): z.infer<typeof headSchema> {
    try {
      return headSchema.parse(JSON.parse(readFileSync(this.#file("journal.json"), "utf8")));
    } catch {
      // None, or one that cannot be read: numbers begin anew under another name, and what waits under the old numbers is dropped.
      for (const name of readdirSync(this.#options.folder)) rmSync(this.#file(name), { force: true });
      const head = { journalId: randomUUID(), nextSequence: 1 };
      this.#replace("journal.json", JSON.stringify(head));
      return head;
    }
  }

  #remove(sequence: number): void {
    this.#ready.delete(sequence);
    rmSync(this.#file(`${sequence}.report`), { force: true });
  }

  /** A kill, or the end of power, leaves the old text or the new. */
  #replace(name: string, text: string): void {
    const file = this.#file(name);
    const handle = openSync(`${file}.new`, "w", 0o600);
    try {
      writeSync(handle, text);
      fsyncSync(handle);
    } finally {
      closeSync(handle);
    }
    renameSync(`${file}.new`, file);
  }

  #file(name: string): string {
    return join(this.#options.folder, name);
  }
}

/** The last line may be torn. */
function parseLine(text: string): z.infer<typeof lineSchema> | undefined {
  if (text === "") return undefined;
  try {
    return lineSchema.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}
