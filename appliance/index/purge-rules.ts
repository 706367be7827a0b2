// Purges as generations: a purge is one number for a path, a prefix or everything, and an object that was described before it is as good as gone.
//
//   "all"         -> number of the last purge of everything
//   "o" path      -> number of the last purge of that object
//   "p" prefix    -> number of the last purge of that prefix
//
// The generation of a path is the highest number that matches it. It is a part of the object's key, so bytes from before a purge have
// another key than bytes from after it: nothing has to be looked for and deleted at the call, and what is under way cannot slip through.
import type { Database } from "lmdb";

/** Every look at an object compares its path with the lengths of these; a purge of everything takes them all away. */
export const prefixRulesMax = 10_000;

export const purgeKinds = ["all", "object", "prefix"] as const;

/** One purge, as it also stands on every disk for an index that is made anew. */
export interface Purge {
  number: number;
  kind: (typeof purgeKinds)[number];
  /** A path, a prefix of paths, or nothing. */
  value: string;
}

const lastName = "purge";

export class PurgeRules {
  readonly #meta: Database<unknown, string>;
  readonly #rules: Database<number, string>;
  /** What this thread has loaded belongs to this number. */
  #loaded = 0;
  #all = 0;
  #prefixes = new Map<string, number>();
  #prefixLengths: number[] = [];

  constructor(meta: Database<unknown, string>, rules: Database<number, string>) {
    this.#meta = meta;
    this.#rules = rules;
  }

  /** The number of the last purge; 0 before the first. */
  get last(): number {
    return (this.#meta.get(lastName) as number | undefined) ?? 0;
  }

  /** The number of the last purge that `path` was in. */
  generationOf(path: string): number {
    const last = this.last;
    if (last === 0) return 0;
    if (last !== this.#loaded) this.#load(last);
    let generation = Math.max(this.#all, this.#rules.get(`o${path}`) ?? 0);
    for (const length of this.#prefixLengths) {
      if (length <= path.length) generation = Math.max(generation, this.#prefixes.get(path.slice(0, length)) ?? 0);
    }
    return generation;
  }

  /** Inside a transaction. False: there are too many prefixes. */
  add({ number, kind, value }: Purge): boolean {
    const name = kind === "all" ? "all" : `${kind === "object" ? "o" : "p"}${value}`;
    const earlier = this.#rules.get(name) ?? 0;
    if (kind === "prefix" && earlier === 0 && this.#rules.getKeysCount({ start: "p", end: "q" }) >= prefixRulesMax) return false;
    if (kind === "all") {
      // The cursor does not like it when the ground moves under it.
      const all = Array.from(this.#rules.getRange());
      for (const { key, value: at } of all) if (at <= number) void this.#rules.remove(key);
    }
    void this.#rules.put(name, Math.max(earlier, number));
    void this.#meta.put(lastName, Math.max(this.last, number));
    this.#loaded = 0;
    return true;
  }

  #load(last: number): void {
    this.#all = this.#rules.get("all") ?? 0;
    this.#prefixes = new Map();
    for (const { key, value } of this.#rules.getRange({ start: "p", end: "q" })) this.#prefixes.set(key.slice(1), value);
    this.#prefixLengths = [...new Set([...this.#prefixes.keys()].map((prefix) => prefix.length))];
    this.#loaded = last;
  }
}
