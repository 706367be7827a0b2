// Reads a request trace into what the generator replays: which object when, over objects that are made for it.
import { OperatingError } from "../../runtime/operating-error.js";
import type { CatalogObject } from "../load/load-plan.js";
import { readTrace } from "../policies/read-trace.js";
import { objectName } from "./object-files.js";

export interface ReplayTrace {
  /** One per distinct id, numbered by first appearance. */
  objects: CatalogObject[];
  /** Per request: the object's index, and when it is due, in seconds after the start. Both in shared memory. */
  objectIndexes: Uint32Array;
  dueSeconds: Float64Array;
  /** When the last request is due. */
  seconds: number;
}

export interface ReplayOptions {
  /** What the trace's clock is multiplied by. */
  speed: number;
  maxRequests: number;
  /** Larger objects are cut to this. */
  objectMaxBytes: number;
}

/**
 * The first requests of the trace at `path`. An object that appears with several sizes gets the largest; each request asks for the whole
 * object. Requests that go back in time are due with the one before. @throws OperatingError where the trace can't be read or is empty.
 */
export async function readReplayTrace(path: string, options: ReplayOptions): Promise<ReplayTrace> {
  const indexes: number[] = [];
  const due: number[] = [];
  const bytes: number[] = [];
  const indexOf = new Map<unknown, number>();
  let startSeconds: number | null = null;
  for await (const { timeSeconds, objectId, sizeBytes } of readTrace(path)) {
    startSeconds ??= timeSeconds;
    let index = indexOf.get(objectId);
    if (index === undefined) {
      index = indexOf.size;
      indexOf.set(objectId, index);
      bytes.push(1);
    }
    bytes[index] = Math.max(bytes[index]!, Math.min(sizeBytes, options.objectMaxBytes));
    indexes.push(index);
    due.push(Math.max((timeSeconds - startSeconds) / options.speed, due.at(-1) ?? 0));
    if (indexes.length >= options.maxRequests) break;
  }
  if (indexes.length === 0) throw new OperatingError("empty-trace", `Cannot replay ${path}: it has no requests`, { source: path });
  const objectIndexes = new Uint32Array(new SharedArrayBuffer(indexes.length * 4));
  objectIndexes.set(indexes);
  const dueSeconds = new Float64Array(new SharedArrayBuffer(due.length * 8));
  dueSeconds.set(due);
  const objects = bytes.map((size, number) => ({ name: objectName(number), bytes: size, contentNumber: number }));
  return { objects, objectIndexes, dueSeconds, seconds: due.at(-1)! };
}
