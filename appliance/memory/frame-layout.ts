// How the memory of an arena is cut: blocks of one full chunk, each whole or halved again and again into frames of one size.
//
// Every frame that a block could ever be cut into has a number of its own, so that no two frames share a word of the table:
//
//   size 0, whole blocks      numbers 0 … B - 1                 of B blocks
//   size 1, halves            numbers B … 3B - 1                block b has B + 2b and B + 2b + 1
//   size s, 2^s to a block    numbers B (2^s - 1) …             block b has the 2^s from B (2^s - 1) + 2^s b on
//
// Which numbers are in use is up to the arena: of one block only those of one size, at any time. Words of numbers that were never in
// use are never touched, and cost no memory.

import { allocatePages } from "./page-memory.js";

/** One SharedArrayBuffer holds at most this much, so that no view passes V8's limits. */
const bankBytesMax = 2 ** 30;
const blockCountMax = 2 ** 24;
/** A block is not cut into smaller frames than a page: a frame costs 52 bytes of table. */
const frameBytesMin = 4096;
const pageBytes = 4096;
/** A block is not cut into more frames than this, whatever the size of chunks. */
const sizesMax = 9;
/** Numbers of frames; 52 bytes of address space each. With more memory than 64 GiB the smallest frames are larger. */
const framesMax = 2 ** 25;
/** Words of the table: those of the arena, then those of each size. */
export const arenaWords = 16;
export const wordsPerSize = 16;
/** Of each frame: see the fields of FrameArena. */
export const wordsPerFrame = 13;
/** Of each block: its size, and the next free block. */
export const wordsPerBlock = 2;
/** Of each bucket: its first frame, and the ghost's hash and time. */
export const wordsPerBucket = 3;
/** Buckets for each block: chains stay short unless most of the memory is cut into the smallest frames. */
const bucketsPerBlockMax = 16;

/** What threads hand to each other to share one arena. */
export interface FrameArenaMemory {
  readonly chunkBytes: number;
  readonly blockCount: number;
  readonly blocksPerBank: number;
  readonly blockStrideBytes: number;
  /** Bytes of a frame by its size; each block holds twice as many of the next. */
  readonly frameBytes: readonly number[];
  readonly bucketCount: number;
  readonly table: SharedArrayBuffer;
  readonly banks: readonly SharedArrayBuffer[];
  /** Every whole frame begins at a page and is made of whole pages: a disk can write into it past the page cache. */
  readonly atPages: boolean;
}

export interface FrameArenaOptions {
  /** Memory for chunks; the table needs 52 bytes a frame more. */
  ramBytes: number;
  chunkBytes: number;
}

/** Blocks are never fewer than this, or a handful of slow clients could pin them all. */
export const frameCountMin = 8;

/** Memory of an arena that was never used; `FrameArena.initialise` comes next. Pages are taken from the system when they are first written. */
export function reserveArenaMemory({ ramBytes, chunkBytes }: FrameArenaOptions): FrameArenaMemory {
  const blockStrideBytes = Math.ceil(chunkBytes / 64) * 64;
  const blockCount = Math.min(blockCountMax, Math.max(frameCountMin, Math.floor(ramBytes / blockStrideBytes)));
  const blocksPerBank = Math.max(1, Math.min(blockCount, Math.floor(bankBytesMax / blockStrideBytes)));
  const banks: SharedArrayBuffer[] = [];
  let atPages = chunkBytes % pageBytes === 0;
  for (let left = blockCount; left > 0; left -= blocksPerBank) {
    const bankBytes = Math.min(left, blocksPerBank) * blockStrideBytes;
    const bank = atPages ? allocatePages(bankBytes) : { memory: new SharedArrayBuffer(bankBytes), atPage: false };
    atPages &&= bank.atPage;
    banks.push(bank.memory);
  }
  const frameBytes = [chunkBytes];
  while (frameBytes.length < sizesMax) {
    const next = Math.floor(blockStrideBytes / 2 ** frameBytes.length / 64) * 64;
    if (next < frameBytesMin || frameCountOf(blockCount, frameBytes.length + 1) > framesMax) break;
    frameBytes.push(next);
  }
  let bucketCount = 16;
  while (bucketCount < blockCount * Math.min(bucketsPerBlockMax, 2 ** (frameBytes.length - 1))) bucketCount *= 2;
  const words =
    arenaWords +
    wordsPerSize * frameBytes.length +
    wordsPerBlock * blockCount +
    wordsPerBucket * bucketCount +
    wordsPerFrame * frameCountOf(blockCount, frameBytes.length);
  const table = new SharedArrayBuffer(words * 4);
  return { chunkBytes, blockCount, blocksPerBank, blockStrideBytes, frameBytes, bucketCount, table, banks, atPages };
}

/** How many frames of the first `sizes` sizes there could be. */
export function frameCountOf(blockCount: number, sizes: number): number {
  return blockCount * (2 ** sizes - 1);
}

/** The number of the first frame of a block that is cut into frames of that size. */
export function firstFrameOf(blockCount: number, block: number, size: number): number {
  return blockCount * (2 ** size - 1) + block * 2 ** size;
}

export function sizeOfFrame(blockCount: number, frame: number): number {
  return 31 - Math.clz32(Math.floor(frame / blockCount) + 1);
}

export function blockOfFrame(blockCount: number, frame: number): number {
  const size = sizeOfFrame(blockCount, frame);
  return (frame - blockCount * (2 ** size - 1)) >>> size;
}
