// The memory of one appliance: frames of verified chunks in shared memory, found and pinned by every thread.
//
// A frame's pin word tells who may do what with it:
//
//   pins = -1   owned by one thread, which fills it, empties it, or keeps it in the free list; no one else touches it
//   pins >= 0   published: its bytes never change; `pins` threads or responses are reading it
//
// Finding a chunk takes no lock, so a hit never waits for a miss:
//
//   reader                                             evictor (holds the lock)
//   1. walks the bucket's chain, finds frame f with
//      the key it wants
//                                                      2. CAS(pins[f], 0, -1), takes f out of its chain
//   3. CAS(pins[f], p, p + 1) fails, since p is -1:
//      a miss
//
//   1. finds f with its key
//                                                      2. takes f, another chunk is published in f, pins[f] = 0
//   3. CAS(pins[f], 0, 1) succeeds
//   4. compares the key again: it is another's.
//      Unpins, and starts over
//
// A chain may change while it is walked, and lead the reader into another bucket's chain: the walk is bounded, and a miss is
// made sure of under the lock before anyone goes to a disk for it. Everything but finding, pinning and unpinning
// happens under the one lock; it is held for microseconds, on misses only.
//
// Replacement is S3-FIFO (Yang et al., "FIFO queues are all you need for cache eviction", SOSP '23): a tenth of the frames
// are a small queue for newcomers, the rest is the main queue, and a ghost table remembers who left the small queue.
import { chunkHashOf } from "../chunk-hash.js";
import { allocatePages } from "./page-memory.js";

const headerWords = 16;
const lockWord = 0;
const freeHeadWord = 1;
const freeCountWord = 2;
const ghostClockWord = 3;
const evictionsWord = 4;
/** Head, tail and count of each of the two queues. */
const smallQueue = 8;
const mainQueue = 11;

const none = -1;
const owned = -1;
/** In `chunkOf`: the frame was dropped while someone read it; it is freed when its turn comes. */
const dropped = -1;
/** S3-FIFO counts hits of a frame up to this. */
const heatMax = 3;
/** A lock-free walk gives up after this many frames; chains are of length 1 on average. */
const walkFramesMax = 32;
/** One SharedArrayBuffer holds at most this much, so that no view passes V8's limits. */
const bankBytesMax = 2 ** 30;
const frameCountMax = 2 ** 24;
const pageBytes = 4096;

/** What threads hand to each other to share one arena. */
export interface FrameArenaMemory {
  readonly chunkBytes: number;
  readonly frameCount: number;
  readonly framesPerBank: number;
  readonly frameStrideBytes: number;
  readonly bucketCount: number;
  readonly table: SharedArrayBuffer;
  readonly banks: readonly SharedArrayBuffer[];
  /** Every frame begins at a page and is made of whole pages: a disk can write into it past the page cache. */
  readonly atPages: boolean;
}

export interface FrameArenaOptions {
  /** Memory for chunks; the table needs about 60 bytes a frame more. */
  ramBytes: number;
  chunkBytes: number;
}

/** Frames are never fewer than this, or a handful of slow clients could pin them all. */
export const frameCountMin = 8;

/** Reserves the memory of an arena. Pages are taken from the system when they are first written. */
export function allocateFrameArena({ ramBytes, chunkBytes }: FrameArenaOptions): FrameArenaMemory {
  const frameStrideBytes = Math.ceil(chunkBytes / 64) * 64;
  const frameCount = Math.min(frameCountMax, Math.max(frameCountMin, Math.floor(ramBytes / frameStrideBytes)));
  const framesPerBank = Math.max(1, Math.min(frameCount, Math.floor(bankBytesMax / frameStrideBytes)));
  const banks: SharedArrayBuffer[] = [];
  let atPages = chunkBytes % pageBytes === 0;
  for (let left = frameCount; left > 0; left -= framesPerBank) {
    const bankBytes = Math.min(left, framesPerBank) * frameStrideBytes;
    const bank = atPages ? allocatePages(bankBytes) : { memory: new SharedArrayBuffer(bankBytes), atPage: false };
    atPages &&= bank.atPage;
    banks.push(bank.memory);
  }
  let bucketCount = 16;
  while (bucketCount < frameCount) bucketCount *= 2;
  const words = headerWords + 11 * frameCount + 3 * bucketCount;
  const memory = {
    chunkBytes,
    frameCount,
    framesPerBank,
    frameStrideBytes,
    bucketCount,
    table: new SharedArrayBuffer(words * 4),
    banks,
    atPages,
  };
  FrameArena.initialise(memory);
  return memory;
}

/** Counts of an arena, for metrics. */
export interface FrameArenaCounts {
  frames: number;
  free: number;
  small: number;
  main: number;
  pinned: number;
  evictions: number;
}

/** One thread's view of the shared arena. */
export class FrameArena {
  readonly chunkBytes: number;
  readonly frameCount: number;
  readonly #memory: FrameArenaMemory;
  readonly #words: Int32Array;
  readonly #pins: Int32Array;
  readonly #heat: Int32Array;
  /** The next frame of the same queue, or of the free list. */
  readonly #next: Int32Array;
  /** The next frame of the same bucket. */
  readonly #chain: Int32Array;
  readonly #hash: Int32Array;
  readonly #length: Int32Array;
  readonly #chunk: Int32Array;
  /** Four words a frame. */
  readonly #key: Int32Array;
  readonly #buckets: Int32Array;
  readonly #ghostHash: Int32Array;
  readonly #ghostTime: Int32Array;
  readonly #smallTarget: number;
  /** Pins that this thread has put and not taken back, by frame; and frames that it has for itself. For the day it crashes. */
  readonly #myPins: Int32Array;
  readonly #myFrames = new Set<number>();
  /** This thread's views of the frames, made when first asked for. */
  readonly #views: Uint8Array[] = [];

  constructor(memory: FrameArenaMemory) {
    this.#memory = memory;
    this.chunkBytes = memory.chunkBytes;
    this.frameCount = memory.frameCount;
    let at = headerWords;
    const take = (count: number) => {
      const part = new Int32Array(memory.table, at * 4, count);
      at += count;
      return part;
    };
    this.#words = new Int32Array(memory.table, 0, headerWords);
    this.#pins = take(memory.frameCount);
    this.#heat = take(memory.frameCount);
    this.#next = take(memory.frameCount);
    this.#chain = take(memory.frameCount);
    this.#hash = take(memory.frameCount);
    this.#length = take(memory.frameCount);
    this.#chunk = take(memory.frameCount);
    this.#key = take(memory.frameCount * 4);
    this.#buckets = take(memory.bucketCount);
    this.#ghostHash = take(memory.bucketCount);
    this.#ghostTime = take(memory.bucketCount);
    this.#myPins = new Int32Array(memory.frameCount);
    this.#smallTarget = Math.max(1, Math.floor(memory.frameCount / 10));
  }

  /** Puts every frame of new memory into the free list. */
  static initialise(memory: FrameArenaMemory): void {
    const arena = new FrameArena(memory);
    arena.#pins.fill(owned);
    arena.#buckets.fill(none);
    arena.#ghostTime.fill(-(2 ** 30));
    for (let frame = 0; frame < memory.frameCount; frame++) arena.#next[frame] = frame + 1 < memory.frameCount ? frame + 1 : none;
    arena.#words[freeHeadWord] = 0;
    arena.#words[freeCountWord] = memory.frameCount;
    for (const queue of [smallQueue, mainQueue]) {
      arena.#words[queue] = none;
      arena.#words[queue + 1] = none;
    }
  }

  /**
   * The frame that holds chunk `chunk` of the object `key` (four words), pinned for the caller, or -1. Takes no lock and
   * allocates nothing. The caller unpins it.
   */
  pinChunk(key: Int32Array, chunk: number): number {
    const hash = hashOf(key, chunk);
    let frame = Atomics.load(this.#buckets, hash & (this.#memory.bucketCount - 1));
    for (let walked = 0; frame !== none && walked < walkFramesMax; walked++) {
      if (this.#hash[frame] === hash && this.#holds(frame, key, chunk) && this.#tryPin(frame)) {
        if (this.#holds(frame, key, chunk)) {
          const heat = this.#heat[frame]!;
          if (heat < heatMax) this.#heat[frame] = heat + 1;
          return frame;
        }
        this.unpin(frame);
        return this.#pinChunkLocked(key, chunk, hash);
      }
      frame = this.#chain[frame]!;
    }
    // None found may be true, or a chain that moved under us: only a table under lock can say.
    return frame === none ? none : this.#pinChunkLocked(key, chunk, hash);
  }

  /** `pinChunk` that is never misled by a change at the same moment; for the moment before a disk is asked. */
  pinChunkSurely(key: Int32Array, chunk: number): number {
    return this.#pinChunkLocked(key, chunk, hashOf(key, chunk));
  }

  /** One more pin on a frame that the caller has pinned. */
  pinAgain(frame: number): void {
    Atomics.add(this.#pins, frame, 1);
    this.#myPins[frame]!++;
  }

  unpin(frame: number): void {
    this.#myPins[frame]!--;
    Atomics.sub(this.#pins, frame, 1);
  }

  /** Another thread has pinned the frame for this one, which is to unpin it. */
  adoptPin(frame: number): void {
    this.#myPins[frame]!++;
  }

  /** What this thread holds: pins that it owes, and frames that are neither published nor given back. */
  held(): { pins: number; frames: number } {
    let pins = 0;
    for (const count of this.#myPins) pins += Math.max(0, count);
    return { pins, frames: this.#myFrames.size };
  }

  /**
   * Takes back every pin of this thread, which has crashed and reads nothing any more; the answer is how many. Frames that it was filling stay
   * out of use: a disk may still write to them.
   */
  takeBackPins(): number {
    let taken = 0;
    for (const [frame, count] of this.#myPins.entries()) {
      if (count > 0) Atomics.sub(this.#pins, frame, count);
      taken += Math.max(0, count);
    }
    this.#myPins.fill(0);
    return taken;
  }

  /**
   * A frame for the caller alone to fill, or -1 when every frame is pinned. The caller ends with `publish` or `giveBack`.
   */
  allocate(): number {
    this.#lock();
    try {
      const frame = this.#words[freeHeadWord]!;
      if (frame !== none) {
        this.#words[freeHeadWord] = this.#next[frame]!;
        this.#words[freeCountWord]!--;
        this.#myFrames.add(frame);
        return frame;
      }
      const evicted = this.#evict();
      if (evicted !== none) this.#myFrames.add(evicted);
      return evicted;
    } finally {
      this.#unlock();
    }
  }

  /** Returns a frame of `allocate` unused. */
  giveBack(frame: number): void {
    this.#myFrames.delete(frame);
    this.#lock();
    this.#free(frame);
    this.#unlock();
  }

  /**
   * Makes the first `lengthBytes` of an allocated frame findable as chunk `chunk` of `key`. The answer is the frame that holds the
   * chunk from now on, pinned once for the caller: another one when some thread was faster, and then `frame` is free again.
   */
  publish(frame: number, key: Int32Array, chunk: number, lengthBytes: number): number {
    const hash = hashOf(key, chunk);
    this.#myFrames.delete(frame);
    this.#lock();
    try {
      const earlier = this.#find(key, chunk, hash);
      if (earlier !== none && this.#tryPin(earlier)) {
        this.#free(frame);
        return earlier;
      }
      this.#key.set(key, frame * 4);
      this.#chunk[frame] = chunk;
      this.#hash[frame] = hash;
      this.#length[frame] = lengthBytes;
      this.#heat[frame] = 0;
      Atomics.store(this.#pins, frame, 1);
      this.#myPins[frame]!++;
      const bucket = hash & (this.#memory.bucketCount - 1);
      this.#chain[frame] = this.#buckets[bucket]!;
      Atomics.store(this.#buckets, bucket, frame);
      this.#append(this.#wasSeenLately(hash) ? mainQueue : smallQueue, frame);
      return frame;
    } finally {
      this.#unlock();
    }
  }

  /** Makes a chunk unfindable. Who reads it now reads on; the frame is free when the last has unpinned it. */
  drop(key: Int32Array, chunk: number): void {
    const hash = hashOf(key, chunk);
    this.#lock();
    try {
      const frame = this.#find(key, chunk, hash);
      if (frame === none) return;
      this.#unchain(frame);
      this.#chunk[frame] = dropped;
    } finally {
      this.#unlock();
    }
  }

  /** The valid bytes of a pinned frame; the same view is given again, so it must not outlive the pin. */
  bytesOf(frame: number): Uint8Array {
    const whole = this.wholeFrame(frame);
    const length = this.#length[frame]!;
    return length === whole.length ? whole : whole.subarray(0, length);
  }

  /** All bytes of a frame, for the thread that fills it. */
  wholeFrame(frame: number): Uint8Array {
    let view = this.#views[frame];
    if (view === undefined) {
      const { banks, framesPerBank, frameStrideBytes, chunkBytes } = this.#memory;
      const bank = Math.floor(frame / framesPerBank);
      view = new Uint8Array(banks[bank]!, (frame - bank * framesPerBank) * frameStrideBytes, chunkBytes);
      this.#views[frame] = view;
    }
    return view;
  }

  counts(): FrameArenaCounts {
    let pinned = 0;
    for (let frame = 0; frame < this.frameCount; frame++) if (this.#pins[frame]! > 0) pinned++;
    return {
      frames: this.frameCount,
      free: this.#words[freeCountWord]!,
      small: this.#words[smallQueue + 2]!,
      main: this.#words[mainQueue + 2]!,
      pinned,
      evictions: this.#words[evictionsWord]! >>> 0,
    };
  }

  #holds(frame: number, key: Int32Array, chunk: number): boolean {
    const at = frame * 4;
    return (
      this.#chunk[frame] === chunk &&
      this.#key[at] === key[0] &&
      this.#key[at + 1] === key[1] &&
      this.#key[at + 2] === key[2] &&
      this.#key[at + 3] === key[3]
    );
  }

  #tryPin(frame: number): boolean {
    for (;;) {
      const pins = Atomics.load(this.#pins, frame);
      if (pins < 0) return false;
      if (Atomics.compareExchange(this.#pins, frame, pins, pins + 1) === pins) {
        this.#myPins[frame]!++;
        return true;
      }
    }
  }

  #pinChunkLocked(key: Int32Array, chunk: number, hash: number): number {
    this.#lock();
    try {
      const frame = this.#find(key, chunk, hash);
      return frame !== none && this.#tryPin(frame) ? frame : none;
    } finally {
      this.#unlock();
    }
  }

  #find(key: Int32Array, chunk: number, hash: number): number {
    let frame = this.#buckets[hash & (this.#memory.bucketCount - 1)]!;
    while (frame !== none && !this.#holds(frame, key, chunk)) frame = this.#chain[frame]!;
    return frame;
  }

  /** Takes the next frame by S3-FIFO that no one has pinned; -1 when there is none. */
  #evict(): number {
    // Frames passed over in a row because they are pinned. When those are the whole of a queue, the other one has to give.
    let smallPinned = 0;
    let mainPinned = 0;
    // Each frame may be passed over for its heat up to heatMax times, and once for being pinned.
    for (let steps = this.frameCount * (heatMax + 2); steps > 0; steps--) {
      const smallCount = this.#words[smallQueue + 2]!;
      const smallGives = smallPinned < smallCount;
      const mainGives = mainPinned < this.#words[mainQueue + 2]!;
      if (!smallGives && !mainGives) return none;
      const queue = smallGives && (smallCount >= this.#smallTarget || !mainGives) ? smallQueue : mainQueue;
      const frame = this.#takeFirst(queue);
      if (this.#chunk[frame] !== dropped) {
        const heat = this.#heat[frame]!;
        if (queue === smallQueue ? heat > 1 : heat > 0) {
          this.#heat[frame] = queue === smallQueue ? 0 : heat - 1;
          this.#append(mainQueue, frame);
          mainPinned = 0;
          continue;
        }
      }
      if (Atomics.compareExchange(this.#pins, frame, 0, owned) !== 0) {
        this.#append(queue, frame);
        if (queue === smallQueue) smallPinned++;
        else mainPinned++;
        continue;
      }
      if (this.#chunk[frame] !== dropped) {
        this.#unchain(frame);
        if (queue === smallQueue) this.#rememberGhost(this.#hash[frame]!);
        this.#words[evictionsWord]!++;
      }
      return frame;
    }
    return none;
  }

  #unchain(frame: number): void {
    const bucket = this.#hash[frame]! & (this.#memory.bucketCount - 1);
    let at = this.#buckets[bucket]!;
    if (at === frame) {
      Atomics.store(this.#buckets, bucket, this.#chain[frame]!);
      return;
    }
    while (this.#chain[at] !== frame) at = this.#chain[at]!;
    this.#chain[at] = this.#chain[frame]!;
  }

  #free(frame: number): void {
    this.#chunk[frame] = dropped;
    Atomics.store(this.#pins, frame, owned);
    this.#next[frame] = this.#words[freeHeadWord]!;
    this.#words[freeHeadWord] = frame;
    this.#words[freeCountWord]!++;
  }

  #append(queue: number, frame: number): void {
    this.#next[frame] = none;
    const tail = this.#words[queue + 1]!;
    if (tail === none) this.#words[queue] = frame;
    else this.#next[tail] = frame;
    this.#words[queue + 1] = frame;
    this.#words[queue + 2]!++;
  }

  #takeFirst(queue: number): number {
    const frame = this.#words[queue]!;
    if (frame === none) return none;
    const next = this.#next[frame]!;
    this.#words[queue] = next;
    if (next === none) this.#words[queue + 1] = none;
    this.#words[queue + 2]!--;
    return frame;
  }

  #rememberGhost(hash: number): void {
    const place = hash & (this.#memory.bucketCount - 1);
    this.#ghostHash[place] = hash;
    this.#ghostTime[place] = this.#words[ghostClockWord]!++;
  }

  /** As many leavers of the small queue are remembered as the main queue has frames. */
  #wasSeenLately(hash: number): boolean {
    const place = hash & (this.#memory.bucketCount - 1);
    const ageEvictions = (this.#words[ghostClockWord]! - this.#ghostTime[place]!) | 0;
    return this.#ghostHash[place] === hash && ageEvictions >= 0 && ageEvictions <= this.frameCount - this.#smallTarget;
  }

  // The lock is the three-state mutex of Drepper, "Futexes Are Tricky": 0 free, 1 taken, 2 taken and someone sleeps.
  #lock(): void {
    let state = Atomics.compareExchange(this.#words, lockWord, 0, 1);
    if (state === 0) return;
    do {
      if (state === 2 || Atomics.compareExchange(this.#words, lockWord, 1, 2) !== 0) Atomics.wait(this.#words, lockWord, 2);
      state = Atomics.compareExchange(this.#words, lockWord, 0, 2);
    } while (state !== 0);
  }

  #unlock(): void {
    if (Atomics.exchange(this.#words, lockWord, 0) === 2) Atomics.notify(this.#words, lockWord, 1);
  }
}

function hashOf(key: Int32Array, chunk: number): number {
  return chunkHashOf(key[0]!, chunk);
}
