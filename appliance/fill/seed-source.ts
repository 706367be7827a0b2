// Where an import takes its chunks from: the role that a folder and a neighbour play. Neither is trusted.
import type { ObjectRecord } from "../object.js";
import type { Upstream, UpstreamFailure } from "./upstream.js";

/** An object as the source has it. The same one is given with each of its chunks. */
export interface SeedObject {
  path: string;
  sizeBytes: number;
  etag: string;
  /** Sends the digests that it says the object has. */
  describe: Upstream["describe"];
}

export interface SeedChunk {
  object: SeedObject;
  chunk: number;
  /** Resolves to undefined when `into` is filled, to why not otherwise. That it is filled does not mean that it is right. */
  read(proven: ObjectRecord, into: Uint8Array): Promise<UpstreamFailure | undefined>;
}

export interface SeedSource {
  readonly name: string;
  /** As far as it is known; null: not before the end. */
  readonly bytesTotal: number | null;
  /** Chunks read at once. */
  readonly readsMax: number;
  /** Everything that it has, best first. @throws SeedDamage, or the system's error, when it cannot go on. */
  chunks(): AsyncGenerator<SeedChunk>;
  close(): Promise<void>;
}
