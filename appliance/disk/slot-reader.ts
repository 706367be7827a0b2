// Reads slots into frames for one thread: one bounded queue per disk and a deadline per read, so that a slow disk makes only its own
// readers wait, and those not for long.
//
// A read that misses its deadline is answered "late", and goes on: the system cannot be told to stop it, and it may still write into its
// frame. The frame is its owner's again when `onLateEnd` is called, which may be never.
import { readv } from "node:fs";
import { allocatePages } from "../memory/page-memory.js";
import { uuidBytesOf, type DiskDescription, type DiskSet } from "./disk-set.js";
import { pageBytes, slabOf, slotOffsetOf, type SlabGeometry } from "./slab-geometry.js";
import type { SlabFile, SlabFiles } from "./slab-files.js";
import { findSlotMismatch, fullSlotHeaderBytes, type SlotMismatch } from "./slot-header.js";

/** What was wanted from a slot. */
export interface SlotRead {
  diskNumber: number;
  slot: number;
  objectKey: Uint8Array;
  chunk: number;
  lengthBytes: number;
  /** Of the slot's header; see slotShapeOf. */
  headerBytes: number;
  /**
   * At least `lengthBytes`; read past the page cache only when it takes whole pages and begins at one. Nobody else may touch it until the answer, and
   * after the answer "late" not until `onLateEnd`. A function is asked when the read begins, so that reads which wait for a slow disk hold no memory;
   * undefined ends the read with "no-frame".
   */
  into: Uint8Array | (() => Uint8Array | undefined);
  /** Reads a suspect disk too: there is no other place to have the chunk from. */
  evenSuspect?: boolean;
  /** Called after "late", when nothing will be written into `into` any more. */
  onLateEnd?: () => void;
}

/** How a read ended. Only "ok" means that the bytes are right. */
export type SlotReadOutcome = "ok" | SlotMismatch | "disk-error" | "disk-away" | "queue-full" | "no-frame" | "late";

/** Reads at a place in a file, as fs.readv does: where tests put a slow disk. */
export type ReadVector = (
  descriptor: number,
  buffers: readonly [Buffer, Uint8Array],
  position: number,
  done: (error: Error | null, bytesRead: number) => void,
) => void;

export interface SlotReaderOptions {
  disks: DiskSet;
  geometry: SlabGeometry;
  files: SlabFiles;
  /** For slots whose chunk begins at a page: those of full chunks. Default: `files`. */
  directFiles?: SlabFiles | undefined;
  /** Reads under way at one disk, from this thread. */
  readsPerDiskMax: number;
  /** Reads that wait for one disk, from this thread; beyond it the answer is "queue-full". */
  waitingPerDiskMax: number;
  /** Counted from `read()`, so time in the queue counts too. Default: none. */
  deadlineMs?: number;
  /** Called once when errors have taken a disk offline, or late reads have made it suspect. */
  onDiskLost: (disk: DiskDescription, error: Error) => void;
  readVector?: ReadVector;
}

/** Deadlines are looked at this often while reads are under way. */
const deadlineCheckMs = 50;
/** Headers are read into pieces of memory of so many, since direct reads need them at pages. */
const headersPerMemory = 256;

interface PendingRead {
  read: SlotRead;
  done: (outcome: SlotReadOutcome) => void;
  askedAtMs: number;
  startedAtMs: number;
  answered: boolean;
}

interface DiskQueue {
  disk: DiskDescription;
  uuid: Buffer;
  underWay: Set<PendingRead>;
  waiting: PendingRead[];
}

const readVectorOfSystem: ReadVector = (descriptor, buffers, position, done) => readv(descriptor, [...buffers], position, done);

export class SlotReader {
  readonly #options: SlotReaderOptions;
  readonly #readVector: ReadVector;
  readonly #queues = new Map<number, DiskQueue>();
  readonly #freeHeaders: Buffer[] = [];
  #deadlineTimer: NodeJS.Timeout | undefined;

  constructor(options: SlotReaderOptions) {
    this.#options = options;
    this.#readVector = options.readVector ?? readVectorOfSystem;
  }

  /** Calls `done` once, never before this returns. */
  read(read: SlotRead, done: (outcome: SlotReadOutcome) => void): void {
    const queue = this.#queueOf(read.diskNumber);
    if (!queue || !this.#mayRead(read)) {
      queueMicrotask(() => done("disk-away"));
      return;
    }
    const now = performance.now();
    const pending = { read, done, askedAtMs: now, startedAtMs: now, answered: false };
    if (queue.underWay.size < this.#options.readsPerDiskMax) {
      void this.#start(queue, pending);
    } else if (queue.waiting.length < this.#options.waitingPerDiskMax) {
      queue.waiting.push(pending);
    } else {
      queueMicrotask(() => done("queue-full"));
      return;
    }
    if (this.#options.deadlineMs !== undefined) {
      this.#deadlineTimer ??= setInterval(() => this.#answerLate(this.#options.deadlineMs!), deadlineCheckMs).unref();
    }
  }

  #queueOf(diskNumber: number): DiskQueue | undefined {
    let queue = this.#queues.get(diskNumber);
    if (!queue) {
      const disk = this.#options.disks.find(diskNumber);
      if (!disk) return undefined;
      queue = { disk, uuid: uuidBytesOf(disk.uuid), underWay: new Set(), waiting: [] };
      this.#queues.set(diskNumber, queue);
    }
    return queue;
  }

  #mayRead({ diskNumber, evenSuspect }: SlotRead): boolean {
    const { disks } = this.#options;
    return disks.isOnline(diskNumber) || (evenSuspect === true && disks.stateOf(diskNumber) === "suspect");
  }

  /** Reads that wait for a disk that is out by now are answered at once: each could take as long as the ones that failed. */
  #startNext(queue: DiskQueue): void {
    if (!this.#options.disks.isOnline(queue.disk.diskNumber)) {
      const waiting = queue.waiting;
      queue.waiting = waiting.filter(({ read }) => this.#mayRead(read));
      for (const { done, read } of waiting) if (!this.#mayRead(read)) queueMicrotask(() => done("disk-away"));
    }
    if (queue.underWay.size >= this.#options.readsPerDiskMax) return;
    const next = queue.waiting.shift();
    if (next) void this.#start(queue, next);
  }

  #answerLate(deadlineMs: number): void {
    const { disks } = this.#options;
    const now = performance.now();
    let busy = false;
    for (const queue of this.#queues.values()) {
      for (const pending of queue.underWay) {
        if (pending.answered || now - pending.startedAtMs < deadlineMs) continue;
        pending.answered = true;
        disks.countHanging(queue.disk.diskNumber, 1);
        if (disks.countLate(queue.disk.diskNumber))
          this.#options.onDiskLost(queue.disk, new Error(`reads were not done after ${deadlineMs} ms`));
        pending.done("late");
      }
      if (!disks.isOnline(queue.disk.diskNumber)) this.#startNext(queue);
      // They come in order, so the first that can still wait ends the walk.
      while (queue.waiting[0] && now - queue.waiting[0].askedAtMs >= deadlineMs) {
        const { done, read } = queue.waiting.shift()!;
        done("late");
        read.onLateEnd?.();
      }
      busy ||= queue.underWay.size > 0 || queue.waiting.length > 0;
    }
    if (busy) return;
    clearInterval(this.#deadlineTimer);
    this.#deadlineTimer = undefined;
  }

  async #start(queue: DiskQueue, pending: PendingRead): Promise<void> {
    const { disks, geometry, directFiles } = this.#options;
    const { read } = pending;
    const files = directFiles && canBeDirect(read, geometry) ? directFiles : this.#options.files;
    pending.startedAtMs = performance.now();
    queue.underWay.add(pending);
    let file: SlabFile | undefined;
    const finish = (outcome: SlotReadOutcome) => {
      if (file) files.release(file);
      queue.underWay.delete(pending);
      this.#startNext(queue);
      if (pending.answered) {
        disks.countHanging(read.diskNumber, -1);
        read.onLateEnd?.();
      } else {
        pending.answered = true;
        pending.done(outcome);
      }
    };
    const fail = (error: Error) => {
      if (disks.countError(read.diskNumber)) this.#options.onDiskLost(queue.disk, error);
      finish("disk-error");
    };
    try {
      const opening = files.acquire(queue.disk, slabOf(geometry, read.slot));
      // Not awaited when it is open: a read is started in the turn that asked for it.
      file = opening instanceof Promise ? await opening : opening;
    } catch (error) {
      queueMicrotask(() => fail(error as Error));
      return;
    }
    const whole = typeof read.into === "function" ? read.into() : read.into;
    if (!whole) {
      queueMicrotask(() => finish("no-frame"));
      return;
    }
    if (this.#freeHeaders.length === 0) this.#makeHeaders();
    const wholeHeader = this.#freeHeaders.pop()!;
    const header = read.headerBytes === wholeHeader.length ? wholeHeader : wholeHeader.subarray(0, read.headerBytes);
    const into = whole.length === read.lengthBytes ? whole : whole.subarray(0, read.lengthBytes);
    // The slot goes on to the end of its last page.
    const wanted = file.direct ? whole.subarray(0, Math.ceil(read.lengthBytes / pageBytes) * pageBytes) : into;
    this.#readVector(file.descriptor, [header, wanted], slotOffsetOf(geometry, read.slot), (error, bytesRead) => {
      const tookMs = performance.now() - pending.startedAtMs;
      let outcome: SlotReadOutcome = "torn";
      if (!error && bytesRead === header.length + wanted.length && !pending.answered) {
        // A slab that was cut short reads short: what is missing is a torn slot.
        const { objectKey, chunk, lengthBytes } = read;
        outcome = findSlotMismatch(header, into, { diskUuid: queue.uuid, objectKey, chunk, lengthBytes }) ?? "ok";
      }
      this.#freeHeaders.push(wholeHeader);
      disks.countRead(read.diskNumber, tookMs, !pending.answered);
      if (error) return fail(error);
      disks.countSuccess(read.diskNumber);
      finish(outcome);
    });
  }

  #makeHeaders(): void {
    const { memory } = allocatePages(headersPerMemory * fullSlotHeaderBytes);
    for (let at = headersPerMemory - 1; at >= 0; at--)
      this.#freeHeaders.push(Buffer.from(memory, at * fullSlotHeaderBytes, fullSlotHeaderBytes));
  }
}

/**
 * Short chunks follow their header in its page, or have a smaller frame, which need not begin at a page: the page cache is there for them. A chunk of more than
 * half has a whole frame.
 */
function canBeDirect({ headerBytes, lengthBytes }: SlotRead, { chunkBytes }: SlabGeometry): boolean {
  return headerBytes === fullSlotHeaderBytes && lengthBytes * 2 > chunkBytes;
}
