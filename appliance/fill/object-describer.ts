// Finds out what an object is: from the index, else from the upstreams in order, one question at a time however many wait.
import { LRUCache } from "lru-cache";
import { encodeObjectDigests } from "../../fill-protocol/object-digests.js";
import type { Clock } from "../../runtime/clock.js";
import type { Log } from "../../runtime/log.js";
import { pathAndTagBytesMax } from "../disk/slot-header.js";
import type { DescribeOutcome, FillFailure } from "../fill-messages.js";
import type { ChunkIndex, SlotPlace } from "../index/chunk-index.js";
import { chunkCountMax, chunkCountOf, isObjectPath, objectKeyOf, type ObjectRecord } from "../object.js";
import type { Upstream, UpstreamObject } from "./upstream.js";

/** A path that no upstream knows is not asked for again for so long: a player's retries must not reach the origin. */
const notFoundForMs = 1000;
const notFoundPathsMax = 10_000;

export interface ObjectDescriberOptions {
  index: ChunkIndex;
  /** In order of preference. */
  upstreams: readonly Upstream[];
  chunkBytes: number;
  clock: Clock;
  log: Log;
  /** A path has another version now; its old chunks lay in these slots. */
  onChanged: (path: string, freed: readonly SlotPlace[]) => void;
}

export class ObjectDescriber {
  readonly #options: ObjectDescriberOptions;
  readonly #underWay = new Map<string, Promise<DescribeOutcome>>();
  readonly #notFound = new LRUCache<string, true>({ max: notFoundPathsMax, ttl: notFoundForMs });

  constructor(options: ObjectDescriberOptions) {
    this.#options = options;
  }

  /** With `refresh`, upstreams are asked although the index knows the path; what it knows stays good when they do not answer. */
  describe(path: string, { hops, refresh }: { hops: number; refresh: boolean }): Promise<DescribeOutcome> {
    if (!refresh) {
      const known = this.#options.index.findObject(path);
      if (known) return Promise.resolve({ object: known });
    }
    if (!isObjectPath(path) || this.#notFound.has(path)) return Promise.resolve({ failure: "not-found" });
    let answer = this.#underWay.get(path);
    if (!answer) {
      answer = this.#ask(path, hops).finally(() => this.#underWay.delete(path));
      this.#underWay.set(path, answer);
    }
    return answer;
  }

  async #ask(path: string, hops: number): Promise<DescribeOutcome> {
    const { upstreams, log } = this.#options;
    let failure: FillFailure = "not-found";
    for (const upstream of upstreams) {
      const answer = await upstream.describe({ path, hops });
      if (answer === "not-found") continue;
      if (!("failure" in answer)) return this.#remember(path, answer);
      log.warn({ path, upstream: upstream.name, failure: answer.failure, detail: answer.detail }, "upstream did not describe an object");
      failure = answer.failure === "timeout" ? "upstream-timeout" : "upstream-failed";
    }
    if (failure === "not-found") return this.#forget(path);
    const known = this.#options.index.findObject(path);
    return known ? { object: known } : { failure };
  }

  async #remember(path: string, found: UpstreamObject): Promise<DescribeOutcome> {
    const { index, chunkBytes, clock, log } = this.#options;
    const { digests, ...described } = found;
    if (Buffer.byteLength(path) + Buffer.byteLength(found.etag) > pathAndTagBytesMax) return { failure: "not-found" };
    if (chunkCountOf(found.sizeBytes, chunkBytes) > chunkCountMax) {
      log.warn({ path, sizeBytes: found.sizeBytes, chunkBytes }, "an object has more chunks than can be counted, and is not served");
      return { failure: "upstream-failed" };
    }
    const canBeChecked = digests !== undefined && canCheck(digests.chunkBytes, chunkBytes, found.sizeBytes);
    if (digests && !canBeChecked) {
      log.warn(
        { path, digestBytes: digests.chunkBytes, chunkBytes },
        "digests are of pieces that do not fit our chunks; chunks of this object are not checked against them",
      );
    }
    const earlier = index.findObject(path);
    // Digests that an upstream has lost are still those of this version.
    const generation = index.generationOf(path);
    const version = { path, ...described, ...(generation > 0 && { generation }) };
    const wasDigested = earlier !== undefined && earlier.digested && objectKeyOf(earlier).equals(objectKeyOf(version));
    const object: ObjectRecord = { ...version, digested: canBeChecked || wasDigested, checkedUnixMs: clock.unixMs() };
    const freed = await index.putObject(object, digests && encodeObjectDigests(digests));
    if (earlier && !objectKeyOf(earlier).equals(objectKeyOf(object))) {
      log.info({ path, etag: object.etag, earlierEtag: earlier.etag }, "object has a new version");
      this.#options.onChanged(path, freed);
    } else if (freed.length > 0) {
      // It was purged, and what it held then is gone now.
      this.#options.onChanged(path, freed);
    }
    return { object };
  }

  async #forget(path: string): Promise<DescribeOutcome> {
    this.#notFound.set(path, true);
    if (this.#options.index.findObject(path)) {
      this.#options.log.info({ path }, "object is gone upstream");
      this.#options.onChanged(path, await this.#options.index.removeObject(path));
    }
    return { failure: "not-found" };
  }
}

/** Whether every chunk is made of whole pieces that have a digest each. */
function canCheck(digestBytes: number, chunkBytes: number, sizeBytes: number): boolean {
  return chunkBytes % digestBytes === 0 || sizeBytes <= Math.min(digestBytes, chunkBytes);
}
