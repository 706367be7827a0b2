// Finds out what an object is: from the index, else from the upstreams in order, one question at a time however many wait.
import { LRUCache } from "lru-cache";
import { encodeObjectDigests } from "../../fill-protocol/object-digests.js";
import type { Clock } from "../../runtime/clock.js";
import type { Log } from "../../runtime/log.js";
import { pathAndTagBytesMax } from "../disk/slot-header.js";
import type { DescribeOutcome, FillFailure } from "../fill-messages.js";
import type { ChunkIndex, SlotPlace } from "../index/chunk-index.js";
import { chunkCountMax, chunkCountOf, isObjectPath, objectKeyOf, type ObjectRecord } from "../object.js";
import type { Upstream, UpstreamFailure, UpstreamObject } from "./upstream.js";

/** A path that no upstream knows is not asked for again for so long: a player's retries must not reach the origin. */
const notFoundForMs = 1000;
const notFoundPathsMax = 10_000;

/** A path whose upstreams are all in trouble is not asked for again for so long. */
const failedForMs = 1000;

/** So long another upstream's version is not taken over while the one that gave the known version is away. */
const versionHeldForMs = 60_000;

export interface ObjectDescriberOptions {
  /** This appliance's own id. */
  applianceId: string;
  index: ChunkIndex;
  /** In order of preference. */
  upstreams: readonly Upstream[];
  chunkBytes: number;
  /** Longest wait for an upstream before the next is asked as well. */
  hedgeAfterMs: number;
  clock: Clock;
  log: Log;
  /** A path has another version now; its old chunks lay in these slots. */
  onChanged: (path: string, freed: readonly SlotPlace[]) => void;
}

interface Question {
  answer: Promise<DescribeOutcome>;
  /** All appliances that wait for the answer: to ask one of them would be to wait for ourselves. */
  waitingAppliances: Set<string>;
  /** Those that are asked. */
  asking: Set<Upstream>;
}

type Answer = UpstreamObject | "not-found" | UpstreamFailure;

export class ObjectDescriber {
  readonly #options: ObjectDescriberOptions;
  readonly #underWay = new Map<string, Question>();
  readonly #notFound: LRUCache<string, true>;
  readonly #failed: LRUCache<string, FillFailure>;
  /** Which upstream gave the version that is known, and since when another one's has not been taken over. */
  readonly #saidBy = new LRUCache<string, { upstream: string | undefined; heldSinceMs: number | undefined }>({ max: notFoundPathsMax });

  constructor(options: ObjectDescriberOptions) {
    this.#options = options;
    const time = { perf: { now: () => options.clock.monotonicMs() }, ttlResolution: 0 };
    this.#notFound = new LRUCache({ max: notFoundPathsMax, ttl: notFoundForMs, ...time });
    this.#failed = new LRUCache({ max: notFoundPathsMax, ttl: failedForMs, ...time });
  }

  /**
   * With `refresh`, upstreams are asked although the index knows the path; what it knows stays good when they do not answer. `via`: the appliances
   * that the question has come through, without this one. `lastResort` is asked after the settings' upstreams.
   */
  describe(
    path: string,
    { via, refresh, lastResort }: { via: readonly string[]; refresh: boolean; lastResort?: Upstream },
  ): Promise<DescribeOutcome> {
    if (!refresh) {
      const known = this.#options.index.findObject(path);
      if (known) return Promise.resolve({ object: known });
    }
    if (!isObjectPath(path) || this.#notFound.has(path)) return Promise.resolve({ failure: "not-found" });
    const failure = this.#failed.get(path);
    if (failure !== undefined && !lastResort) return Promise.resolve({ failure });
    let question = this.#underWay.get(path);
    if (question) {
      const waits = [...question.asking].some(({ applianceId }) => applianceId !== undefined && via.includes(applianceId));
      if (waits) return Promise.resolve({ failure: "loop" });
      for (const id of via) question.waitingAppliances.add(id);
      return question.answer;
    }
    question = { answer: Promise.resolve({ failure: "busy" }), waitingAppliances: new Set(via), asking: new Set() };
    this.#underWay.set(path, question);
    question.answer = this.#ask(path, via, question, lastResort).finally(() => this.#underWay.delete(path));
    return question.answer;
  }

  /**
   * Asks a source that need not be trusted what `wanted` is, and takes it over when the digests that it sends prove it: the tag is made from them.
   * Undefined when they do not, or when a later version is known.
   */
  async learn(
    wanted: { path: string; etag: string; sizeBytes: number },
    source: Pick<Upstream, "describe">,
  ): Promise<ObjectRecord | undefined> {
    const { applianceId, hedgeAfterMs, index } = this.#options;
    const { path } = wanted;
    if (!isObjectPath(path)) return undefined;
    const answer = await orLate(source.describe({ path, via: [applianceId] }), hedgeAfterMs);
    if (typeof answer === "string" || "failure" in answer || !answer.digests) return undefined;
    if (answer.etag !== wanted.etag || answer.sizeBytes !== wanted.sizeBytes) return undefined;
    const known = index.findObject(path);
    if (known && known.etag !== answer.etag && known.lastModifiedUnixMs > answer.lastModifiedUnixMs) return undefined;
    const outcome = await this.#remember(path, answer);
    return "object" in outcome ? outcome.object : undefined;
  }

  async #ask(path: string, via: readonly string[], question: Question, lastResort: Upstream | undefined): Promise<DescribeOutcome> {
    const { applianceId, hedgeAfterMs, index, log, upstreams } = this.#options;
    const throughUs = [...via, applianceId];
    let failure: FillFailure | undefined;
    let missing = false;
    /** Upstreams that were late; they may still answer. */
    const late: Promise<Answer>[] = [];
    const take = (upstream: Upstream, answer: Answer): UpstreamObject | undefined => {
      question.asking.delete(upstream);
      if (answer === "not-found") {
        missing = true;
        return undefined;
      }
      if (!("failure" in answer)) return answer;
      if (answer.failure === "loop") {
        failure ??= "loop";
        return undefined;
      }
      log.warn({ path, upstream: upstream.name, failure: answer.failure, detail: answer.detail }, "upstream did not describe an object");
      failure = answer.failure === "timeout" ? "upstream-timeout" : answer.failure === "busy" ? "busy" : "upstream-failed";
      return undefined;
    };
    for (const upstream of lastResort ? [...upstreams, lastResort] : upstreams) {
      question.asking.add(upstream);
      const asked = this.#askOne(upstream, path, throughUs, question);
      const answer = await orLate(asked, hedgeAfterMs);
      if (answer === "late") {
        late.push(asked);
        asked.then(
          () => question.asking.delete(upstream),
          () => {},
        );
        failure = "upstream-timeout";
        continue;
      }
      const object = take(upstream, answer);
      if (!object) continue;
      const known = failure === undefined || failure === "loop" ? undefined : index.findObject(path);
      if (known && this.#isMirrorsOpinion(path, upstream, object, known)) return { object: known };
      this.#saidBy.set(path, { upstream: upstream.name, heldSinceMs: undefined });
      return this.#remember(path, object);
    }
    for (const asked of late) {
      const answer = await asked;
      if (answer !== "not-found" && !("failure" in answer)) return this.#remember(path, answer);
    }
    if (failure === undefined || (failure === "loop" && missing)) return this.#forget(path);
    const known = index.findObject(path);
    if (known) return { object: known };
    if (failure !== "loop") this.#failed.set(path, failure);
    return { failure };
  }

  /**
   * A mirror may give equal bytes another tag. While an upstream that is asked before it is away, its word does not end a version that it has not
   * given itself; but not for ever, since that upstream may never come back.
   */
  #isMirrorsOpinion(path: string, upstream: Upstream, object: UpstreamObject, known: ObjectRecord): boolean {
    if (isNewer(object, known, path)) return false;
    const nowMs = this.#options.clock.monotonicMs();
    const said = this.#saidBy.get(path) ?? { upstream: undefined, heldSinceMs: undefined };
    if (said.upstream === upstream.name) return false;
    said.heldSinceMs ??= nowMs;
    this.#saidBy.set(path, said);
    return nowMs - said.heldSinceMs < versionHeldForMs;
  }

  async #askOne(upstream: Upstream, path: string, via: readonly string[], { waitingAppliances }: Question): Promise<Answer> {
    await upstream.identify?.();
    const { applianceId } = upstream;
    if (applianceId !== undefined && (via.includes(applianceId) || waitingAppliances.has(applianceId)))
      return { failure: "loop", detail: "it asks us for the same" };
    return upstream.describe({ path, via });
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

async function orLate<Value>(answer: Promise<Value>, afterMs: number): Promise<Value | "late"> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<"late">((resolve) => {
    timer = setTimeout(() => resolve("late"), afterMs);
  });
  try {
    return await Promise.race([answer, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Whether a description may take the place of what is known, although it does not come from the upstream that is asked first. */
function isNewer(found: UpstreamObject, known: ObjectRecord, path: string): boolean {
  const { digests, ...described } = found;
  const same = objectKeyOf({ path, ...described, ...(known.generation && { generation: known.generation }) }).equals(objectKeyOf(known));
  // Digests are the same wherever they are published, so a later date with other digests is a new version.
  return same || (digests !== undefined && found.lastModifiedUnixMs > known.lastModifiedUnixMs);
}

/** Whether every chunk is made of whole pieces that have a digest each. */
function canCheck(digestBytes: number, chunkBytes: number, sizeBytes: number): boolean {
  return chunkBytes % digestBytes === 0 || sizeBytes <= Math.min(digestBytes, chunkBytes);
}
