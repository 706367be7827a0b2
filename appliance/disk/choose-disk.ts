// Which disk a chunk goes to: weighted rendezvous hashing, so that a lost disk moves only its own share.
import { xxh64 } from "@node-rs/xxhash";

export interface WeighedDisk {
  uuid: string;
  /** More than 0; usually the capacity. */
  weight: number;
}

/**
 * The disks in the order in which chunk `chunk` of `objectKey` prefers them. Each is first for a share of all chunks that is
 * proportional to its weight; taking one away leaves the order of the others as it was.
 *
 * Schindelhauer and Schomaker, "Weighted Distributed Hash Tables" (SPAA '05): the score of a disk is -weight / ln(u) with u uniform in (0, 1).
 */
export function orderDisks<Disk extends WeighedDisk>(disks: readonly Disk[], objectKey: Uint8Array, chunk: number): Disk[] {
  if (disks.length === 1) return [...disks];
  const name = Buffer.alloc(objectKey.length + 4);
  name.set(objectKey);
  name.writeUInt32LE(chunk, objectKey.length);
  return disks
    .map((disk) => ({ disk, score: -disk.weight / Math.log(uniformOf(xxh64(name, xxh64(disk.uuid)))) }))
    .sort((a, b) => b.score - a.score)
    .map(({ disk }) => disk);
}

/** The upper 53 bits as a number in (0, 1). */
function uniformOf(hash: bigint): number {
  return (Number(hash >> 11n) + 0.5) / 2 ** 53;
}
