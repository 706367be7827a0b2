// What a serving worker knows of objects: a small memory before the index, the index before the upstreams.
import { LRUCache } from "lru-cache";
import { noVia } from "../../fill-protocol/via-header.js";
import type { Clock } from "../../runtime/clock.js";
import type { DescribeOutcome } from "../fill-messages.js";
import type { ChunkIndex } from "../index/chunk-index.js";
import { objectKeyOf, objectKeyWords, type ObjectRecord } from "../object.js";
import type { FillClient } from "./fill-client.js";

/** An object with all that a request needs of it, made once. */
export interface ServedObject {
  readonly record: ObjectRecord;
  readonly key: Buffer;
  readonly keyWords: Int32Array;
}

export interface ObjectFinderOptions {
  index: ChunkIndex;
  fill: FillClient;
  clock: Clock;
  /** Objects kept at hand in this worker. */
  objectsMax: number;
  /** A description older than this is checked upstream, while it is used. */
  revalidateAfterMs: number;
}

export class ObjectFinder {
  readonly #options: ObjectFinderOptions;
  readonly #objects: LRUCache<string, ServedObject>;
  readonly #refreshing = new Set<string>();
  /** Known paths of which no upstream could say anything at the last look. */
  readonly #unreachable = new Set<string>();
  readonly #waiting = new Map<string, ((outcome: DescribeOutcome) => void)[]>();

  constructor(options: ObjectFinderOptions) {
    this.#options = options;
    this.#objects = new LRUCache({ max: options.objectsMax });
  }

  /** The object, as far as this appliance knows it. Never waits; asks upstream in the background when the knowledge is old. */
  findKnown(path: string): ServedObject | undefined {
    let object = this.#objects.get(path);
    if (!object) {
      const record = this.#options.index.findObject(path);
      if (!record) return undefined;
      object = servedObjectOf(record);
      this.#objects.set(path, object);
    }
    const ageMs = this.#options.clock.unixMs() - object.record.checkedUnixMs;
    // A negative age is a clock that was set back: no reason to trust the date.
    if (ageMs > this.#options.revalidateAfterMs || ageMs < 0) this.#refresh(path);
    return object;
  }

  /** Seconds until a newer version of it is looked for; below 0 when it is time. */
  ttlSecondsOf({ record }: ServedObject): number {
    return Math.floor((record.checkedUnixMs + this.#options.revalidateAfterMs - this.#options.clock.unixMs()) / 1000);
  }

  /** Whether a newer version was looked for in vain, because no upstream answered. */
  isUnreachable({ record }: ServedObject): boolean {
    return this.#unreachable.has(record.path);
  }

  /** Asks upstream what `path` is. One question at a time, however many requests wait. */
  ask(
    path: string,
    via: readonly string[],
    done: (outcome: { object: ServedObject } | Extract<DescribeOutcome, { failure: unknown }>) => void,
  ): void {
    const finish = (outcome: DescribeOutcome) => {
      if ("failure" in outcome) return done(outcome);
      done({ object: this.#remember(path, outcome.object) });
    };
    // As chunks: the fill worker has to know of each appliance that waits.
    const name = `${path}\n${via.join()}`;
    const waiting = this.#waiting.get(name);
    if (waiting) {
      waiting.push(finish);
      return;
    }
    this.#waiting.set(name, [finish]);
    this.#options.fill.describe(path, { via, refresh: false }, (outcome) => {
      const finishers = this.#waiting.get(name) ?? [];
      this.#waiting.delete(name);
      for (const each of finishers) each(outcome);
    });
  }

  /** The path has a newer version, or is gone. */
  forget(path: string): void {
    this.#objects.delete(path);
  }

  /** Something was purged: nothing that was learned before counts. */
  forgetAll(): void {
    this.#options.index.seeLatest();
    this.#objects.clear();
  }

  #refresh(path: string): void {
    if (this.#refreshing.has(path)) return;
    this.#refreshing.add(path);
    this.#options.fill.describe(path, { via: noVia, refresh: true }, (outcome) => {
      const { clock, objectsMax, revalidateAfterMs } = this.#options;
      // What was known before is what comes back when no upstream could say anything.
      const isOld =
        "object" in outcome ? clock.unixMs() - outcome.object.checkedUnixMs > revalidateAfterMs : outcome.failure !== "not-found";
      if (!isOld) this.#unreachable.delete(path);
      else if (this.#unreachable.size < objectsMax) this.#unreachable.add(path);
      if ("object" in outcome) this.#remember(path, outcome.object);
      else if (outcome.failure === "not-found") this.#objects.delete(path);
      // An upstream that is away is not asked again by every request.
      setTimeout(() => this.#refreshing.delete(path), refreshPauseMs).unref();
    });
  }

  #remember(path: string, described: ObjectRecord): ServedObject {
    // Described before a purge that has come since: bytes of its key may be in memory, and must not be served.
    const generation = this.#options.index.generationOf(path);
    const record = generation > (described.generation ?? 0) ? { ...described, generation } : described;
    const known = this.#objects.peek(path);
    const object = servedObjectOf(record);
    // Requests under way hold on to the object they began with; only new ones see this one.
    const next = known?.key.equals(object.key) ? { ...known, record } : object;
    this.#objects.set(path, next);
    return next;
  }
}

const refreshPauseMs = 1000;

function servedObjectOf(record: ObjectRecord): ServedObject {
  const key = objectKeyOf(record);
  return { record, key, keyWords: objectKeyWords(key) };
}
