// The memory of one appliance: frames of verified chunks in shared memory, found and pinned by every thread.
//
// A frame's pin word tells who may do what with it:
//
//   pins = -1   owned by one thread, which fills it, empties it, or keeps it in the free list; no one else touches it
//   pins >= 0   published: its bytes never change; `pins` threads or responses are reading it
//               arriving: only its first `length` bytes never change; nobody finds it, the thread that fills it hands it out
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
// The memory is blocks of one full chunk. A block is whole, or cut into 2, 4, … 256 frames of one size for short chunks (frame-layout.ts).
// Every frame that a block could be cut into has words of its own, so all of the above holds for small frames as it does for whole ones. A
// block changes its size under the lock:
//
//   reader                                             whoever moves the block (holds the lock)
//                                                      1. CAS(pins[f], 0, -1) for every published frame f of the block. One that fails
//                                                         undoes the others (pins[f] = 0), and the block stays as it is
//                                                      2. takes each f out of its chain and its queue
//                                                      3. the numbers of the other size get pins = -1, and are free
//   4. has walked to f before 2; CAS(pins[f], p, p + 1)
//      fails, since p is -1: a miss, as above. Nobody
//      sets it to anything else before the block is cut
//      into f's size again, and f is published
//
// So at any time the frames of one size only of a block can be pinned: two frames that share bytes are never both read or filled. What step 1
// undoes may be missed by a reader at that moment, who then asks a disk for nothing: `publish` finds that the chunk is there.
//
// A size that has no frame free takes a free block. When there is none, chunks of its own size give way, unless those of another size stay
// more than twice as long: then a block of that size does. So memory follows what is asked for.
//
// Replacement within a size is S3-FIFO (Yang et al., "FIFO queues are all you need for cache eviction", SOSP '23): a tenth of the frames
// are a small queue for newcomers, the rest is the main queue, and a ghost table remembers who left the small queue.
import { chunkHashOf } from "../chunk-hash.js";
import {
  arenaWords,
  blockOfFrame,
  firstFrameOf,
  frameCountOf,
  reserveArenaMemory,
  sizeOfFrame,
  wordsPerSize,
  type FrameArenaMemory,
  type FrameArenaOptions,
} from "./frame-layout.js";

export { frameCountMin, type FrameArenaMemory } from "./frame-layout.js";

const lockWord = 0;
const freeBlockWord = 1;
const freeBlockCountWord = 2;
const evictionsWord = 4;
/** Of each size: head, tail and count of three queues, and what follows. */
const freeQueue = 0;
const smallQueue = 3;
const mainQueue = 6;
const blocksWord = 9;
const ghostClockWord = 10;
/** Evictions, halved now and then: against the frames of its size they tell how long a chunk stays. */
const evictedLatelyWord = 11;
/** Evictions since it was last looked at whether another size has memory to give. */
const evictedSinceLookWord = 12;

const none = -1;
const owned = -1;
/** In `chunkOf`: the frame was dropped while someone read it; it is freed when its turn comes. */
const dropped = -1;
/** Where a frame is, for whoever holds the lock: in no list, or in the queue of that number less one. */
const nowhere = 0;
/** S3-FIFO counts hits of a frame up to this. */
const heatMax = 3;
/** A lock-free walk gives up after this many frames; chains are of length 1 on average when most chunks are whole. */
const walkFramesMax = 64;
/** A size whose chunks stay this much shorter than those of another gets a block from it. */
const shorterStayMax = 2;
/** Evictions are halved when they have gone this often through all frames of a size: the shares follow what was asked for lately. */
const turnsMax = 4;
/** So many blocks of a size are tried, one of whose frames is pinned, before another size is asked to give. */
const blockTriesMax = 4;
/** Of all blocks, this part is not cut, and at least so many, so that small frames that slow clients pin cannot keep whole chunks out. */
const wholeShareMin = 1 / 8;
const wholeBlocksMin = 8;

/** Reserves the memory of an arena. Pages are taken from the system when they are first written. */
export function allocateFrameArena(options: FrameArenaOptions): FrameArenaMemory {
  const memory = reserveArenaMemory(options);
  FrameArena.initialise(memory);
  return memory;
}

/** Frames of one size, or of all. */
export interface FrameCounts {
  frames: number;
  free: number;
  small: number;
  main: number;
  pinned: number;
}

/** Counts of an arena, for metrics. Memory that is not cut yet counts as free whole frames. */
export interface FrameArenaCounts extends FrameCounts {
  evictions: number;
  /** Of the frames that hold a chunk, or are being filled with one. */
  usedBytes: number;
  sizes: (FrameCounts & { frameBytes: number; blocks: number })[];
}

/** One thread's view of the shared arena. */
export class FrameArena {
  readonly chunkBytes: number;
  /** Whole frames that the memory has room for. */
  readonly frameCount: number;
  readonly #memory: FrameArenaMemory;
  readonly #words: Int32Array;
  readonly #pins: Int32Array;
  readonly #heat: Int32Array;
  /** The next and the previous frame of the same queue. */
  readonly #next: Int32Array;
  readonly #previous: Int32Array;
  readonly #where: Int32Array;
  /** The next frame of the same bucket. */
  readonly #chain: Int32Array;
  readonly #hash: Int32Array;
  readonly #length: Int32Array;
  readonly #chunk: Int32Array;
  /** Four words a frame. */
  readonly #key: Int32Array;
  /** The size into which a block is cut; -1: into none, it is free. */
  readonly #blockSize: Int32Array;
  readonly #nextFreeBlock: Int32Array;
  readonly #buckets: Int32Array;
  readonly #ghostHash: Int32Array;
  readonly #ghostTime: Int32Array;
  readonly #wholeBlocksMin: number;
  /** Pins that this thread has put and not taken back, by frame; and frames that it has for itself. For the day it crashes. */
  readonly #myPins: Int32Array;
  readonly #myFrames = new Set<number>();
  /** This thread's views of whole frames, made when first asked for. */
  readonly #views: Uint8Array[] = [];

  constructor(memory: FrameArenaMemory) {
    const { blockCount, bucketCount, frameBytes, table } = memory;
    this.#memory = memory;
    this.chunkBytes = memory.chunkBytes;
    this.frameCount = blockCount;
    let at = 0;
    const take = (count: number) => {
      const part = new Int32Array(table, at * 4, count);
      at += count;
      return part;
    };
    const frames = frameCountOf(blockCount, frameBytes.length);
    this.#words = take(arenaWords + wordsPerSize * frameBytes.length);
    this.#blockSize = take(blockCount);
    this.#nextFreeBlock = take(blockCount);
    this.#buckets = take(bucketCount);
    this.#ghostHash = take(bucketCount);
    this.#ghostTime = take(bucketCount);
    this.#pins = take(frames);
    this.#heat = take(frames);
    this.#next = take(frames);
    this.#previous = take(frames);
    this.#where = take(frames);
    this.#chain = take(frames);
    this.#hash = take(frames);
    this.#length = take(frames);
    this.#chunk = take(frames);
    this.#key = take(frames * 4);
    this.#myPins = new Int32Array(frames);
    this.#wholeBlocksMin = Math.min(Math.floor(blockCount / 2), Math.max(wholeBlocksMin, Math.floor(blockCount * wholeShareMin)));
  }

  /** Makes every block of new memory free. */
  static initialise(memory: FrameArenaMemory): void {
    const arena = new FrameArena(memory);
    arena.#buckets.fill(none);
    arena.#ghostTime.fill(-(2 ** 30));
    arena.#blockSize.fill(none);
    for (let block = 0; block < memory.blockCount; block++) arena.#nextFreeBlock[block] = block + 1 < memory.blockCount ? block + 1 : none;
    arena.#words[freeBlockWord] = 0;
    arena.#words[freeBlockCountWord] = memory.blockCount;
    for (let size = 0; size < memory.frameBytes.length; size++) {
      for (const queue of [freeQueue, smallQueue, mainQueue]) {
        arena.#words[wordOf(size, queue)] = none;
        arena.#words[wordOf(size, queue) + 1] = none;
      }
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
   * A frame of `lengthBytes` or more for the caller alone to fill, or -1 when every frame that could serve is pinned. The caller ends with
   * `publish` or `giveBack`.
   */
  allocate(lengthBytes: number): number {
    this.#lock();
    try {
      const { frameBytes } = this.#memory;
      let size = frameBytes.length - 1;
      while (size > 0 && frameBytes[size]! < lengthBytes) size--;
      // When nothing of the best size can be had, a larger frame is better than none.
      for (; size >= 0; size--) {
        const frame = this.#allocateOf(size);
        if (frame === none) continue;
        this.#myFrames.add(frame);
        return frame;
      }
      return none;
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
      const size = sizeOfFrame(this.#memory.blockCount, frame);
      this.#append(size, this.#wasSeenLately(size, hash) ? mainQueue : smallQueue, frame);
      return frame;
    } finally {
      this.#unlock();
    }
  }

  /**
   * Opens an allocated frame to readers while it is still being filled: its first `validBytesOf` bytes are there, and stay. Nobody finds it;
   * who is handed it is pinned by `pinAgain`. It is pinned once for the caller, who ends with `endArrival` or `abandonArrival`.
   */
  beginArrival(frame: number): void {
    this.#myFrames.delete(frame);
    // A walker may still know the frame by its last chunk: it must not find that again.
    this.#chunk[frame] = dropped;
    Atomics.store(this.#length, frame, 0);
    Atomics.store(this.#pins, frame, 1);
    this.#myPins[frame]!++;
  }

  /** The first `bytes` of an arriving frame are there, and will not change. */
  setArrived(frame: number, bytes: number): void {
    Atomics.store(this.#length, frame, bytes);
  }

  /** How many bytes of a pinned frame are there; of an arriving one it is more each time. */
  validBytesOf(frame: number): number {
    return Atomics.load(this.#length, frame);
  }

  /** All bytes of an arriving frame are there. As `publish`: the answer holds the chunk from now on, pinned once for the caller, whose pin on `frame` it replaces. */
  endArrival(frame: number, key: Int32Array, chunk: number): number {
    const hash = hashOf(key, chunk);
    this.#lock();
    try {
      const earlier = this.#find(key, chunk, hash);
      if (earlier !== none && this.#tryPin(earlier)) {
        this.#letGo(frame);
        return earlier;
      }
      this.#key.set(key, frame * 4);
      this.#hash[frame] = hash;
      this.#heat[frame] = 0;
      this.#chunk[frame] = chunk;
      const bucket = hash & (this.#memory.bucketCount - 1);
      this.#chain[frame] = this.#buckets[bucket]!;
      Atomics.store(this.#buckets, bucket, frame);
      const size = sizeOfFrame(this.#memory.blockCount, frame);
      this.#append(size, this.#wasSeenLately(size, hash) ? mainQueue : smallQueue, frame);
      return frame;
    } finally {
      this.#unlock();
    }
  }

  /** The rest of an arriving frame does not come. It is free when the last reader has unpinned it. */
  abandonArrival(frame: number): void {
    this.#lock();
    this.#letGo(frame);
    this.#unlock();
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

  /** The valid bytes of a pinned frame. The view must not outlive the pin: the same one may be given again. */
  bytesOf(frame: number): Uint8Array {
    const length = Atomics.load(this.#length, frame);
    if (frame >= this.frameCount) return this.#viewOf(frame, length);
    const whole = this.wholeFrame(frame);
    return length === whole.length ? whole : whole.subarray(0, length);
  }

  /** All bytes of a frame, for the thread that fills it. */
  wholeFrame(frame: number): Uint8Array {
    // Views of smaller frames are not kept: there may be millions, and one costs more than a hundred bytes.
    if (frame >= this.frameCount) return this.#viewOf(frame, this.#memory.frameBytes[sizeOfFrame(this.frameCount, frame)]!);
    let view = this.#views[frame];
    if (view === undefined) {
      view = this.#viewOf(frame, this.chunkBytes);
      this.#views[frame] = view;
    }
    return view;
  }

  #viewOf(frame: number, lengthBytes: number): Uint8Array {
    const { banks, blockCount, blocksPerBank, blockStrideBytes, frameBytes } = this.#memory;
    const size = sizeOfFrame(blockCount, frame);
    const block = blockOfFrame(blockCount, frame);
    const inBlockBytes = size === 0 ? 0 : (frame - firstFrameOf(blockCount, block, size)) * frameBytes[size]!;
    const bank = Math.floor(block / blocksPerBank);
    return new Uint8Array(banks[bank]!, (block - bank * blocksPerBank) * blockStrideBytes + inBlockBytes, lengthBytes);
  }

  /** What part of a whole frame this one takes. */
  shareOf(frame: number): number {
    return 2 ** -sizeOfFrame(this.frameCount, frame);
  }

  counts(): FrameArenaCounts {
    const { blockCount, frameBytes } = this.#memory;
    const sizes = frameBytes.map((bytes, size) => {
      const of = (word: number) => this.#words[wordOf(size, word)]!;
      const blocks = of(blocksWord);
      return {
        frameBytes: bytes,
        blocks,
        frames: blocks * 2 ** size,
        free: of(freeQueue + 2),
        small: of(smallQueue + 2),
        main: of(mainQueue + 2),
        pinned: 0,
      };
    });
    for (let block = 0; block < blockCount; block++) {
      const size = this.#blockSize[block]!;
      if (size < 0) continue;
      const first = firstFrameOf(blockCount, block, size);
      for (let frame = first; frame < first + 2 ** size; frame++) if (this.#pins[frame]! > 0) sizes[size]!.pinned++;
    }
    const sum = (count: (of: (typeof sizes)[number]) => number) => sizes.reduce((total, of) => total + count(of), 0);
    const freeBlocks = this.#words[freeBlockCountWord]!;
    return {
      frames: sum(({ frames }) => frames) + freeBlocks,
      free: sum(({ free }) => free) + freeBlocks,
      small: sum(({ small }) => small),
      main: sum(({ main }) => main),
      pinned: sum(({ pinned }) => pinned),
      evictions: this.#words[evictionsWord]! >>> 0,
      usedBytes: sum((of) => (of.frames - of.free) * of.frameBytes),
      sizes,
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

  #allocateOf(size: number): number {
    const free = this.#takeFirst(size, freeQueue);
    if (free !== none) return free;
    const block = this.#takeFreeBlock(size);
    if (block !== none) return this.#cut(block, size);
    if (this.#isShort(size)) {
      const given = this.#takeBlock(size, this.#stayOf(size) * shorterStayMax);
      if (given !== none) return this.#cut(given, size);
    }
    const evicted = this.#evict(size);
    if (evicted !== none) return evicted;
    // Every frame of this size is pinned.
    const given = this.#takeBlock(size, 0);
    return given === none ? none : this.#cut(given, size);
  }

  /** Whether it is time to look if other sizes have memory to give: once for each block's worth of chunks that gave way. */
  #isShort(size: number): boolean {
    if (this.#memory.frameBytes.length === 1) return false;
    if (this.#wordsOf(size, blocksWord) === 0) return true;
    if (this.#wordsOf(size, evictedSinceLookWord) < 2 ** size) return false;
    this.#words[wordOf(size, evictedSinceLookWord)] = 0;
    return true;
  }

  /** How long chunks stay in frames of a size, as a number to compare: frames for each eviction of late. */
  #stayOf(size: number): number {
    return (this.#wordsOf(size, blocksWord) * 2 ** size) / Math.max(this.#wordsOf(size, evictedLatelyWord), 1 / 1024);
  }

  #takeFreeBlock(size: number): number {
    const block = this.#words[freeBlockWord]!;
    if (block === none || !this.#mayHaveBlock(size, none)) return none;
    this.#words[freeBlockWord] = this.#nextFreeBlock[block]!;
    this.#words[freeBlockCountWord]!--;
    return block;
  }

  /** Blocks that may be whole frames stay above a minimum, free ones included. */
  #mayHaveBlock(size: number, from: number): boolean {
    if (size === 0 || from > 0) return true;
    return this.#wordsOf(0, blocksWord) + this.#words[freeBlockCountWord]! > this.#wholeBlocksMin;
  }

  /** A block of the size whose chunks stay longest, and longer than `stayMin`; -1 when none can be had. */
  #takeBlock(forSize: number, stayMin: number): number {
    const givers: { size: number; stay: number }[] = [];
    for (let size = 0; size < this.#memory.frameBytes.length; size++) {
      const stay = this.#stayOf(size);
      if (size !== forSize && this.#wordsOf(size, blocksWord) > 0 && stay > stayMin && this.#mayHaveBlock(forSize, size))
        givers.push({ size, stay });
    }
    for (const { size } of givers.sort((a, b) => b.stay - a.stay)) {
      for (let tries = 0; tries < blockTriesMax; tries++) {
        let frame = tries === 0 ? this.#wordsOf(size, freeQueue) : none;
        if (frame === none) {
          frame = this.#evict(size);
          if (frame === none) break;
          this.#free(frame);
        }
        const block = blockOfFrame(this.#memory.blockCount, frame);
        if (this.#clearBlock(block, size)) return block;
      }
    }
    return none;
  }

  /** Takes all frames of a block out of use. False, and everything as it was, when one of them is pinned or being filled. */
  #clearBlock(block: number, size: number): boolean {
    const first = firstFrameOf(this.#memory.blockCount, block, size);
    const end = first + 2 ** size;
    for (let frame = first; frame < end; frame++) {
      if (this.#where[frame] === freeQueue + 1) continue;
      if (this.#where[frame] !== nowhere && Atomics.compareExchange(this.#pins, frame, 0, owned) === 0) continue;
      while (--frame >= first) if (this.#where[frame] !== freeQueue + 1) Atomics.store(this.#pins, frame, 0);
      return false;
    }
    for (let frame = first; frame < end; frame++) {
      const queue = this.#where[frame]! - 1;
      this.#unlink(size, frame);
      if (queue !== freeQueue && this.#chunk[frame] !== dropped) this.#noteEvicted(size, queue, frame);
      this.#chunk[frame] = dropped;
    }
    this.#words[wordOf(size, blocksWord)]!--;
    this.#blockSize[block] = none;
    return true;
  }

  /** Makes a block frames of that size; the answer is the first of them, for the caller, and the others are free. */
  #cut(block: number, size: number): number {
    const first = firstFrameOf(this.#memory.blockCount, block, size);
    for (let frame = first + 2 ** size - 1; frame > first; frame--) this.#free(frame);
    this.#chunk[first] = dropped;
    Atomics.store(this.#pins, first, owned);
    this.#blockSize[block] = size;
    this.#words[wordOf(size, blocksWord)]!++;
    return first;
  }

  /** Takes the next frame of a size by S3-FIFO that no one has pinned; -1 when there is none. */
  #evict(size: number): number {
    const frames = this.#wordsOf(size, blocksWord) * 2 ** size;
    const smallTarget = smallTargetOf(frames);
    // Frames passed over in a row because they are pinned. When those are the whole of a queue, the other one has to give.
    let smallPinned = 0;
    let mainPinned = 0;
    // Each frame may be passed over for its heat up to heatMax times, and once for being pinned.
    for (let steps = frames * (heatMax + 2); steps > 0; steps--) {
      const smallCount = this.#wordsOf(size, smallQueue + 2);
      const smallGives = smallPinned < smallCount;
      const mainGives = mainPinned < this.#wordsOf(size, mainQueue + 2);
      if (!smallGives && !mainGives) return none;
      const queue = smallGives && (smallCount >= smallTarget || !mainGives) ? smallQueue : mainQueue;
      const frame = this.#takeFirst(size, queue);
      if (this.#chunk[frame] !== dropped) {
        const heat = this.#heat[frame]!;
        if (queue === smallQueue ? heat > 1 : heat > 0) {
          this.#heat[frame] = queue === smallQueue ? 0 : heat - 1;
          this.#append(size, mainQueue, frame);
          mainPinned = 0;
          continue;
        }
      }
      if (Atomics.compareExchange(this.#pins, frame, 0, owned) !== 0) {
        this.#append(size, queue, frame);
        if (queue === smallQueue) smallPinned++;
        else mainPinned++;
        continue;
      }
      if (this.#chunk[frame] !== dropped) this.#noteEvicted(size, queue, frame);
      return frame;
    }
    return none;
  }

  /** Makes a chunk unfindable whose frame is owned and in no queue any more. */
  #noteEvicted(size: number, queue: number, frame: number): void {
    this.#unchain(frame);
    if (queue === smallQueue) this.#rememberGhost(size, this.#hash[frame]!);
    this.#words[evictionsWord]!++;
    this.#words[wordOf(size, evictedSinceLookWord)]!++;
    const lately = ++this.#words[wordOf(size, evictedLatelyWord)]!;
    if (lately <= turnsMax * this.#wordsOf(size, blocksWord) * 2 ** size) return;
    for (let other = 0; other < this.#memory.frameBytes.length; other++) this.#words[wordOf(other, evictedLatelyWord)]! >>= 1;
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
    // Last in, first out: what was used a moment ago is in the processor's caches.
    const queue = wordOf(sizeOfFrame(this.#memory.blockCount, frame), freeQueue);
    const head = this.#words[queue]!;
    this.#where[frame] = freeQueue + 1;
    this.#previous[frame] = none;
    this.#next[frame] = head;
    if (head === none) this.#words[queue + 1] = frame;
    else this.#previous[head] = frame;
    this.#words[queue] = frame;
    this.#words[queue + 2]!++;
  }

  /** Takes the caller's pin off a frame that nobody finds. Those who read it go on: then its turn to be freed comes in the queue. */
  #letGo(frame: number): void {
    this.#myPins[frame]!--;
    if (Atomics.compareExchange(this.#pins, frame, 1, owned) === 1) return this.#free(frame);
    this.#append(sizeOfFrame(this.#memory.blockCount, frame), smallQueue, frame);
    Atomics.sub(this.#pins, frame, 1);
  }

  #append(size: number, queue: number, frame: number): void {
    const at = wordOf(size, queue);
    const tail = this.#words[at + 1]!;
    this.#where[frame] = queue + 1;
    this.#next[frame] = none;
    this.#previous[frame] = tail;
    if (tail === none) this.#words[at] = frame;
    else this.#next[tail] = frame;
    this.#words[at + 1] = frame;
    this.#words[at + 2]!++;
  }

  #takeFirst(size: number, queue: number): number {
    const frame = this.#wordsOf(size, queue);
    if (frame !== none) this.#unlink(size, frame);
    return frame;
  }

  /** Takes a frame out of the queue that it is in. */
  #unlink(size: number, frame: number): void {
    const at = wordOf(size, this.#where[frame]! - 1);
    const [previous, next] = [this.#previous[frame]!, this.#next[frame]!];
    if (previous === none) this.#words[at] = next;
    else this.#next[previous] = next;
    if (next === none) this.#words[at + 1] = previous;
    else this.#previous[next] = previous;
    this.#words[at + 2]!--;
    this.#where[frame] = nowhere;
  }

  #rememberGhost(size: number, hash: number): void {
    const place = hash & (this.#memory.bucketCount - 1);
    this.#ghostHash[place] = hash;
    this.#ghostTime[place] = this.#words[wordOf(size, ghostClockWord)]!++;
  }

  /** As many leavers of the small queue are remembered as the main queue has frames. A chunk's size does not change, so its clock is one. */
  #wasSeenLately(size: number, hash: number): boolean {
    const frames = this.#wordsOf(size, blocksWord) * 2 ** size;
    const place = hash & (this.#memory.bucketCount - 1);
    const ageEvictions = (this.#wordsOf(size, ghostClockWord) - this.#ghostTime[place]!) | 0;
    return this.#ghostHash[place] === hash && ageEvictions >= 0 && ageEvictions <= frames - smallTargetOf(frames);
  }

  #wordsOf(size: number, word: number): number {
    return this.#words[wordOf(size, word)]!;
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

function wordOf(size: number, word: number): number {
  return arenaWords + size * wordsPerSize + word;
}

function smallTargetOf(frames: number): number {
  return Math.max(1, Math.floor(frames / 10));
}

function hashOf(key: Int32Array, chunk: number): number {
  return chunkHashOf(key[0]!, chunk);
}
