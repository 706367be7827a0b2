// The policies once more, written as plainly as possible on arrays, for tests to compare with. Slow.

/** A policy told of one request after the other; true is a hit. */
export type ReferencePolicy = (object: number) => boolean;

export interface ReferenceOptions {
  capacityBytes: number;
  objectBytes: readonly number[];
}

function bytesOf(objects: readonly number[], { objectBytes }: ReferenceOptions): number {
  return objects.reduce((sum, object) => sum + objectBytes[object]!, 0);
}

export function referenceFifo(options: ReferenceOptions): ReferencePolicy {
  let held: number[] = [];
  return (object) => {
    if (held.includes(object)) return true;
    const bytes = options.objectBytes[object]!;
    if (bytes > options.capacityBytes) return false;
    while (bytesOf(held, options) + bytes > options.capacityBytes) held = held.slice(1);
    held = [...held, object];
    return false;
  };
}

export function referenceLru(options: ReferenceOptions): ReferencePolicy {
  let held: number[] = [];
  return (object) => {
    const hit = held.includes(object);
    if (!hit && options.objectBytes[object]! > options.capacityBytes) return false;
    held = [...held.filter((other) => other !== object), object];
    while (bytesOf(held, options) > options.capacityBytes) held = held.slice(1);
    return hit;
  };
}

/** Algorithm 1 of the SIEVE paper. The queue's head, where objects enter, is the array's start; its tail is the end. */
export function referenceSieve(options: ReferenceOptions): ReferencePolicy {
  const queue: { object: number; visited: boolean }[] = [];
  let hand: { object: number; visited: boolean } | undefined;
  return (object) => {
    const known = queue.find((entry) => entry.object === object);
    if (known) {
      known.visited = true;
      return true;
    }
    const bytes = options.objectBytes[object]!;
    if (bytes > options.capacityBytes) return false;
    const used = () =>
      bytesOf(
        queue.map((entry) => entry.object),
        options,
      );
    while (used() + bytes > options.capacityBytes) {
      let position = hand ? queue.indexOf(hand) : queue.length - 1;
      while (queue[position]!.visited) {
        queue[position]!.visited = false;
        position = position === 0 ? queue.length - 1 : position - 1;
      }
      hand = position === 0 ? undefined : queue[position - 1];
      queue.splice(position, 1);
    }
    queue.unshift({ object, visited: false });
    return false;
  };
}

/** Algorithm 1 of the S3-FIFO paper. Heads are array starts, tails are array ends. */
export function referenceS3Fifo(options: ReferenceOptions): ReferencePolicy {
  const small: number[] = [];
  const main: number[] = [];
  const ghost: number[] = [];
  const freq = new Map<number, number>();
  const capacity = options.capacityBytes;
  const bytes = (objects: readonly number[]) => bytesOf(objects, options);

  const evictSmall = () => {
    let evicted = false;
    while (!evicted && small.length > 0) {
      const tail = small.pop()!;
      if (freq.get(tail)! > 1) {
        main.unshift(tail);
        freq.set(tail, 0);
      } else {
        if (options.objectBytes[tail]! <= capacity - capacity * 0.1) ghost.unshift(tail);
        while (bytes(ghost) > capacity - capacity * 0.1) ghost.pop();
        evicted = true;
      }
    }
  };
  const evictMain = () => {
    let evicted = false;
    while (!evicted && main.length > 0) {
      const tail = main.pop()!;
      if (freq.get(tail)! > 0) {
        main.unshift(tail);
        freq.set(tail, freq.get(tail)! - 1);
      } else evicted = true;
    }
  };
  return (object) => {
    if (small.includes(object) || main.includes(object)) {
      freq.set(object, Math.min(freq.get(object)! + 1, 3));
      return true;
    }
    const inGhost = ghost.includes(object);
    if (inGhost) ghost.splice(ghost.indexOf(object), 1);
    if (options.objectBytes[object]! > capacity) return false;
    while (bytes(small) + bytes(main) + options.objectBytes[object]! > capacity) {
      if (small.length > 0 && (bytes(small) >= capacity * 0.1 || main.length === 0)) evictSmall();
      else evictMain();
    }
    (inGhost ? main : small).unshift(object);
    freq.set(object, 0);
    return false;
  };
}

/** Figure 4 of the ARC paper, for pages: every object has size 1, `capacity` is in objects. MRU ends are array starts. */
export function referenceArc(capacity: number): ReferencePolicy {
  let t1: number[] = [];
  let t2: number[] = [];
  let b1: number[] = [];
  let b2: number[] = [];
  let p = 0;
  const without = (list: number[], object: number) => list.filter((other) => other !== object);
  const replace = (inB2: boolean) => {
    if (t1.length > 0 && (t1.length > p || (inB2 && t1.length === p))) b1.unshift(t1.pop()!);
    else b2.unshift(t2.pop()!);
  };
  return (object) => {
    if (t1.includes(object) || t2.includes(object)) {
      t1 = without(t1, object);
      t2 = [object, ...without(t2, object)];
      return true;
    }
    if (b1.includes(object)) {
      p = Math.min(capacity, p + Math.max(1, b2.length / b1.length));
      replace(false);
      b1 = without(b1, object);
      t2.unshift(object);
      return false;
    }
    if (b2.includes(object)) {
      p = Math.max(0, p - Math.max(1, b1.length / b2.length));
      replace(true);
      b2 = without(b2, object);
      t2.unshift(object);
      return false;
    }
    const all = () => t1.length + t2.length + b1.length + b2.length;
    if (t1.length + b1.length === capacity) {
      if (t1.length < capacity) {
        b1.pop();
        replace(false);
      } else t1.pop();
    } else if (t1.length + b1.length < capacity && all() >= capacity) {
      if (all() === 2 * capacity) b2.pop();
      replace(false);
    }
    t1.unshift(object);
    return false;
  };
}

/** Belady with bypass: of what is held and the requested object, what is needed last goes until the rest fits. */
export function referenceBelady(trace: readonly number[], options: ReferenceOptions): ReferencePolicy {
  let held: number[] = [];
  let at = -1;
  const next = (object: number) => {
    const index = trace.indexOf(object, at + 1);
    return index < 0 ? Infinity : index;
  };
  return (object) => {
    at++;
    const hit = held.includes(object);
    if (!hit && options.objectBytes[object]! <= options.capacityBytes) held.push(object);
    held = held.filter((other) => next(other) < Infinity).sort((a, b) => next(a) - next(b));
    while (bytesOf(held, options) > options.capacityBytes) held.pop();
    return hit;
  };
}

/** Most hits (or most bytes hit) that any way of keeping and evicting gives: every choice is tried. For a handful of objects. */
export function referenceOptimum(objects: readonly number[], options: ReferenceOptions, worth: (object: number) => number): number {
  // From each reachable cache content (a bit set) the best worth so far.
  let best = new Map<number, number>([[0, 0]]);
  const fits = (content: number) =>
    options.objectBytes.reduce((sum, bytes, object) => sum + ((content >> object) & 1) * bytes, 0) <= options.capacityBytes;
  for (const object of objects) {
    const after = new Map<number, number>();
    for (const [content, soFar] of best) {
      const hit = (content >> object) & 1;
      const value = soFar + (hit ? worth(object) : 0);
      const candidates = content | (1 << object);
      for (let kept = candidates; ; kept = (kept - 1) & candidates) {
        if (fits(kept) && (after.get(kept) ?? -1) < value) after.set(kept, value);
        if (kept === 0) break;
      }
    }
    best = after;
  }
  return Math.max(...best.values());
}
