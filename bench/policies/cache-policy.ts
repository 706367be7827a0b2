// The role that every simulated cache policy plays: it is told of one request after the other and says which were hits.

/**
 * A cache over sized objects. Objects are dense numbers from 0 (see loadTrace()), so that a policy's state is a few typed arrays.
 * An object is admitted at its first miss unless it is larger than the whole cache; an object's size never changes.
 */
export interface CachePolicy {
  /** Bytes of the objects that are held now; never above the capacity between two requests. */
  readonly usedBytes: number;
  /** Request number `at` (from 0) of the trace asks for `object`. True when it was held. */
  request(object: number, at: number): boolean;
  holds(object: number): boolean;
}

/** What a policy is made of. */
export interface CachePolicyOptions {
  capacityBytes: number;
  /** Size of every object, by its number; at least 1. */
  objectBytes: Float64Array;
  /** For each request, the number of the next request for the same object, or `neverAgain`. Only offline policies look at it. */
  nextRequests: Uint32Array;
}

/** Stands in `nextRequests` where an object is not asked for again. */
export const neverAgain = 0xffffffff;

/** For each request, the number of the next request for the same object; `neverAgain` where there is none. */
export function findNextRequests(objects: Uint32Array, objectCount: number): Uint32Array {
  const next = new Uint32Array(objects.length);
  const nextOfObject = new Uint32Array(objectCount).fill(neverAgain);
  for (let at = objects.length - 1; at >= 0; at--) {
    const object = objects[at]!;
    next[at] = nextOfObject[object]!;
    nextOfObject[object] = at;
  }
  return next;
}
