// What each object was asked for, counted in shared memory by the serving workers and collected by the agent.
//
//   One table per worker and epoch:   used │ other bytes │ heap used │ rows: key 16 B, path place, path length │ sums: 4 × f64 │ heap of paths
//
// A worker adds to the tables of the current epoch; the agent turns the epoch and then reads the other one, which nobody writes to any more:
//   1. A worker makes its mark odd, reads the epoch, adds, and makes its mark even.
//   2. The agent turns the epoch, then looks at the mark. Even: whatever the worker adds from now on goes to the new epoch. Odd: it may still
//      be adding to the old one, so that table waits until the mark is another.
import { objectKeyBytes } from "./object.js";

/**
 * Objects that one worker counts one by one between two collections; what comes beyond is counted together. Collected every 10 s, that is
 * more than 800 new objects per second and worker.
 */
export const heatObjectsMax = 8192;
/** A power of two, and twice the objects: probes stay short. */
const rowsMax = 2 * heatObjectsMax;
/** Room for paths: 128 bytes for each object. */
const heapBytes = heatObjectsMax * 128;
const keyWords = objectKeyBytes / 4;
const rowWords = keyWords + 2;
const sums = 4;

const headWords = 4;
const usedPlace = 0;
const heapPlace = 1;
const rowsBytes = rowsMax * rowWords * 4;
const orderBytes = heatObjectsMax * 4;
const sumsBytes = rowsMax * sums * 8;
/** Head, sum of the others, sums, rows, order of use, heap. */
const tableBytes = headWords * 4 + 8 + sumsBytes + rowsBytes + orderBytes + heapBytes;
/** Epoch for all, then a mark per worker; in cache lines of their own. */
const wordsPerLine = 16;

export const heatSums = { served: 0, readThrough: 1, divertedContent: 2, divertedHealth: 3 } as const;
export type HeatSum = keyof typeof heatSums;

export interface HeatMemory {
  tables: SharedArrayBuffer;
  flags: SharedArrayBuffer;
}

export function allocateHeat(workers: number): HeatMemory {
  return {
    tables: new SharedArrayBuffer(workers * 2 * tableBytes),
    flags: new SharedArrayBuffer((workers + 1) * wordsPerLine * 4),
  };
}

interface Table {
  head: Int32Array;
  other: Float64Array;
  sums: Float64Array;
  rows: Int32Array;
  order: Int32Array;
  heap: Buffer;
}

function tableOf({ tables }: HeatMemory, worker: number, epoch: number): Table {
  let at = (worker * 2 + epoch) * tableBytes;
  const take = (bytes: number) => {
    at += bytes;
    return at - bytes;
  };
  return {
    head: new Int32Array(tables, take(headWords * 4), headWords),
    other: new Float64Array(tables, take(8), 1),
    sums: new Float64Array(tables, take(sumsBytes), rowsMax * sums),
    rows: new Int32Array(tables, take(rowsBytes), rowsMax * rowWords),
    order: new Int32Array(tables, take(orderBytes), heatObjectsMax),
    heap: Buffer.from(tables, take(heapBytes), heapBytes),
  };
}

/** An object as `HeatCounter` needs it. */
export interface CountedObject {
  readonly keyWords: Int32Array;
  readonly record: { readonly path: string };
}

/** One worker's side. Adding takes no lock and allocates nothing but, for an object that is new in its epoch, its path. */
export class HeatCounter {
  readonly #tables: readonly [Table, Table];
  readonly #flags: Int32Array;
  readonly #markPlace: number;

  constructor(memory: HeatMemory, worker: number) {
    this.#tables = [tableOf(memory, worker, 0), tableOf(memory, worker, 1)];
    this.#flags = new Int32Array(memory.flags);
    this.#markPlace = (worker + 1) * wordsPerLine;
    // A worker that was started again: the one before cannot have died in the middle of adding, but it is cheap to be sure.
    if (Atomics.load(this.#flags, this.#markPlace) % 2 !== 0) Atomics.add(this.#flags, this.#markPlace, 1);
  }

  /** Counts bytes that were served of `object`. `divertedBy`: the letter with which steering sent the player here. */
  add(object: CountedObject, bytesServed: number, bytesReadThrough: number, divertedBy?: "C" | "H"): void {
    Atomics.add(this.#flags, this.#markPlace, 1);
    const table = this.#tables[Atomics.load(this.#flags, 0) as 0 | 1];
    const row = findRow(table, object);
    if (row < 0) table.other[0]! += bytesServed;
    else {
      const at = row * sums;
      table.sums[at]! += bytesServed;
      table.sums[at + 1]! += bytesReadThrough;
      if (divertedBy === "C") table.sums[at + 2]! += bytesServed;
      else if (divertedBy === "H") table.sums[at + 3]! += bytesServed;
    }
    Atomics.add(this.#flags, this.#markPlace, 1);
  }
}

/** The object's row, which is made when it has none; -1 when the table or its heap is full. */
function findRow(table: Table, { keyWords: key, record }: CountedObject): number {
  const { head, rows, heap } = table;
  for (let row = key[0]! & (rowsMax - 1); ; row = (row + 1) & (rowsMax - 1)) {
    const at = row * rowWords;
    if (rows[at + keyWords + 1] === 0) {
      const used = head[usedPlace]!;
      const pathAt = head[heapPlace]!;
      if (used === heatObjectsMax || pathAt + record.path.length > heapBytes) return -1;
      // Longer than the room that is left, in bytes: a path that was cut would be another's.
      if (record.path.length * 3 > heapBytes - pathAt && Buffer.byteLength(record.path) > heapBytes - pathAt) return -1;
      const bytes = heap.write(record.path, pathAt);
      for (let word = 0; word < keyWords; word++) rows[at + word] = key[word]!;
      rows[at + keyWords] = pathAt;
      rows[at + keyWords + 1] = bytes;
      table.order[used] = row;
      head[usedPlace] = used + 1;
      head[heapPlace] = pathAt + bytes;
      return row;
    }
    if (rows[at] === key[0] && rows[at + 1] === key[1] && rows[at + 2] === key[2] && rows[at + 3] === key[3]) return row;
  }
}

export interface ObjectHeatSums {
  served: number;
  readThrough: number;
  divertedContent: number;
  divertedHealth: number;
}

/** The agent's side. */
export class HeatCollector {
  readonly #tables: readonly (readonly [Table, Table])[];
  readonly #flags: Int32Array;
  /** Tables of workers that were adding when their epoch ended, with the mark they had. */
  #left: { table: Table; place: number; mark: number }[] = [];

  constructor(memory: HeatMemory, workers: number) {
    this.#tables = Array.from({ length: workers }, (_, worker) => [tableOf(memory, worker, 0), tableOf(memory, worker, 1)] as const);
    this.#flags = new Int32Array(memory.flags);
  }

  /**
   * Takes out what was counted since the last call, by path, into `heat`; the answer is what was counted together. While a worker is
   * in the middle of adding the epoch stays as it is, and the call takes what it can.
   */
  collect(heat: Map<string, ObjectHeatSums>): number {
    let otherBytes = 0;
    // A thread that has been off its core since: its table is not ours yet, and is needed empty before the epoch may turn.
    if (this.#left.some(({ place, mark }) => Atomics.load(this.#flags, place) === mark)) return 0;
    for (const { table } of this.#left.splice(0)) otherBytes += drain(table, heat);
    const ended = Atomics.load(this.#flags, 0) as 0 | 1;
    Atomics.store(this.#flags, 0, 1 - ended);
    for (const [worker, tables] of this.#tables.entries()) {
      const place = (worker + 1) * wordsPerLine;
      const mark = Atomics.load(this.#flags, place);
      if (mark % 2 === 0) otherBytes += drain(tables[ended], heat);
      else this.#left.push({ table: tables[ended], place, mark });
    }
    return otherBytes;
  }
}

function drain(table: Table, heat: Map<string, ObjectHeatSums>): number {
  const used = table.head[usedPlace]!;
  for (let at = 0; at < used; at++) {
    const row = table.order[at]!;
    const pathAt = table.rows[row * rowWords + keyWords]!;
    const path = table.heap.toString("utf8", pathAt, pathAt + table.rows[row * rowWords + keyWords + 1]!);
    let sum = heat.get(path);
    if (!sum) heat.set(path, (sum = { served: 0, readThrough: 0, divertedContent: 0, divertedHealth: 0 }));
    for (const name of Object.keys(heatSums) as HeatSum[]) sum[name] += table.sums[row * sums + heatSums[name]]!;
    table.sums.fill(0, row * sums, (row + 1) * sums);
    table.rows.fill(0, row * rowWords, (row + 1) * rowWords);
  }
  const otherBytes = table.other[0]!;
  table.other[0] = 0;
  table.head[usedPlace] = 0;
  table.head[heapPlace] = 0;
  return otherBytes;
}
