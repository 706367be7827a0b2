// Reads slots into frames for one serving worker: one bounded queue per disk, so that a slow disk makes only its own readers wait.
import { readv } from "node:fs";
import { uuidBytesOf, type DiskDescription, type DiskSet } from "./disk-set.js";
import { slabOf, slotOffsetOf, type SlabGeometry } from "./slab-geometry.js";
import type { SlabFiles } from "./slab-files.js";
import { findSlotMismatch, slotHeaderBytes, type SlotMismatch } from "./slot-header.js";

/** What was wanted from a slot. */
export interface SlotRead {
  diskNumber: number;
  slot: number;
  objectKey: Uint8Array;
  chunk: number;
  lengthBytes: number;
  /** At least `lengthBytes`; nobody else may touch it until the answer. */
  into: Uint8Array;
}

/** How a read ended. Only "ok" means that the bytes are right. */
export type SlotReadOutcome = "ok" | SlotMismatch | "disk-error" | "disk-away" | "queue-full";

export interface SlotReaderOptions {
  disks: DiskSet;
  geometry: SlabGeometry;
  files: SlabFiles;
  /** Reads under way at one disk, from this worker. */
  readsPerDiskMax: number;
  /** Reads that wait for one disk, from this worker; beyond it the answer is "queue-full". */
  waitingPerDiskMax: number;
  /** Called once when errors have taken a disk offline. */
  onDiskLost: (disk: DiskDescription, error: Error) => void;
}

interface DiskQueue {
  disk: DiskDescription;
  uuid: Buffer;
  underWay: number;
  waiting: { read: SlotRead; done: (outcome: SlotReadOutcome) => void }[];
}

export class SlotReader {
  readonly #options: SlotReaderOptions;
  readonly #queues = new Map<number, DiskQueue>();
  readonly #freeHeaders: Buffer[] = [];

  constructor(options: SlotReaderOptions) {
    this.#options = options;
    for (const disk of options.disks.disks) {
      this.#queues.set(disk.diskNumber, { disk, uuid: uuidBytesOf(disk.uuid), underWay: 0, waiting: [] });
    }
  }

  /** Calls `done` once, never before this returns. */
  read(read: SlotRead, done: (outcome: SlotReadOutcome) => void): void {
    const queue = this.#queues.get(read.diskNumber);
    if (!queue || !this.#options.disks.isOnline(read.diskNumber)) {
      queueMicrotask(() => done("disk-away"));
    } else if (queue.underWay < this.#options.readsPerDiskMax) {
      this.#start(queue, read, done);
    } else if (queue.waiting.length < this.#options.waitingPerDiskMax) {
      queue.waiting.push({ read, done });
    } else {
      queueMicrotask(() => done("queue-full"));
    }
  }

  /** Reads that wait for a disk that is out by now are answered at once: each could take as long as the ones that failed. */
  #startNext(queue: DiskQueue): void {
    if (this.#options.disks.isOnline(queue.disk.diskNumber)) {
      const next = queue.waiting.shift();
      if (next) this.#start(queue, next.read, next.done);
      return;
    }
    for (const { done } of queue.waiting.splice(0)) queueMicrotask(() => done("disk-away"));
  }

  #start(queue: DiskQueue, read: SlotRead, done: (outcome: SlotReadOutcome) => void): void {
    const { disks, geometry, files } = this.#options;
    const header = this.#freeHeaders.pop() ?? Buffer.allocUnsafe(slotHeaderBytes);
    const into = read.into.length === read.lengthBytes ? read.into : read.into.subarray(0, read.lengthBytes);
    queue.underWay++;
    const finish = (outcome: SlotReadOutcome) => {
      this.#freeHeaders.push(header);
      queue.underWay--;
      this.#startNext(queue);
      done(outcome);
    };
    const fail = (error: Error) => {
      if (disks.countError(read.diskNumber)) this.#options.onDiskLost(queue.disk, error);
      finish("disk-error");
    };
    let file: number;
    try {
      file = files.open(queue.disk, slabOf(geometry, read.slot));
    } catch (error) {
      queueMicrotask(() => fail(error as Error));
      return;
    }
    readv(file, [header, into], slotOffsetOf(geometry, read.slot), (error, bytesRead) => {
      if (error) return fail(error);
      disks.countSuccess(read.diskNumber);
      // A slab that was cut short reads short: what is missing is a torn slot.
      if (bytesRead !== slotHeaderBytes + read.lengthBytes) return finish("torn");
      finish(
        findSlotMismatch(header, into, {
          diskUuid: queue.uuid,
          objectKey: read.objectKey,
          chunk: read.chunk,
          lengthBytes: read.lengthBytes,
        }) ?? "ok",
      );
    });
  }
}
