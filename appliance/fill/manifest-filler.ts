// Fills what the manifest names, best first, in its hours and at its pace, from the sources that may be asked by now; requests go before it.
import { setTimeout as wait } from "node:timers/promises";
import { noVia } from "../../fill-protocol/via-header.js";
import type { Clock } from "../../runtime/clock.js";
import { messageOf } from "../../runtime/operating-error.js";
import { orderDisks } from "../disk/choose-disk.js";
import type { DiskSet } from "../disk/disk-set.js";
import type { FetchOutcome, FillProgress, FillState } from "../fill-messages.js";
import type { ChunkIndex } from "../index/chunk-index.js";
import type { FrameArena } from "../memory/frame-arena.js";
import type { ManifestItem } from "../manifest-file.js";
import { chunkCountOf, chunkLengthOf, isRebuilt, objectKeyOf, type ObjectRecord } from "../object.js";
import type { ChunkFetcher } from "./chunk-fetcher.js";
import type { ChunkStore } from "./chunk-store.js";
import { openSources, type OpenSources, type RankedSources } from "./escalation.js";
import type { FillPace } from "./fill-pace.js";
import { FillSurvey } from "./fill-survey.js";
import type { FillWindows } from "./fill-window.js";
import type { ObjectDescriber } from "./object-describer.js";
import type { SourceFinder } from "./source-finder.js";
import type { SourceStatus } from "./source-health.js";
import type { Upstream } from "./upstream.js";

/** Rounds that find nothing to do, or fail, follow each other ever more slowly. */
const pauseMinMs = 1000;
const pauseMaxMs = 60_000;
/** While disks that are stuck have all the room there is, it is looked for room so often. */
const roomPauseMs = 100;
/** While objects wait for a source, or for their next step, sources are asked for again this often at least. */
const waitMaxMs = 5000;
const failuresShown = 20;
/** So many chunks of one object may fail in a round; then the round goes on with the next object. */
const chunkFailuresMax = 8;
const progressEveryMs = 1000;
/** What is told as the rate is that of the last seconds. */
const rateOverMs = 10_000;
/** Objects under way at once: while the last chunks of one are fetched, the next is looked for. */
const objectsAtOnce = 2;
/** Sources that are asked for the digests of an object before the upstreams of the settings. */
const describingSourcesMax = 2;

export interface ManifestFillerOptions {
  arena: FrameArena;
  chunkBytes: number;
  clock: Clock;
  describer: ObjectDescriber;
  disks: DiskSet;
  fetcher: ChunkFetcher;
  finder: SourceFinder;
  index: ChunkIndex;
  pace: FillPace;
  /** Nothing is filled until `setPaused(false)`. */
  paused: boolean;
  /** Chunks under way at once. */
  parallelMax: number;
  onProgress: (progress: FillProgress) => void;
  sourceStatuses: () => SourceStatus[];
  store: ChunkStore;
  /** The settings' own; asked when a step for the origin is open. */
  upstreams: readonly Upstream[];
  windows: FillWindows;
}

export class ManifestFiller {
  readonly #options: ManifestFillerOptions;
  #survey: FillSurvey;
  #surveyed = false;
  readonly #changed = new Set<string>();
  #paused: boolean;
  /** Something was allowed that the round under way may have passed over. */
  #again = false;
  #stopped = false;
  #wake = new AbortController();
  #running: Promise<void> | undefined;
  readonly #underWay = new Map<number, ManifestItem>();
  #waiting = 0;
  #nextTryMs = Infinity;
  #failed: FillProgress["failed"] = [];
  #chunksUnderWay = 0;
  readonly #turns: (() => void)[] = [];
  /** What was stored lately: when, and how many bytes by then. */
  #samples: { atMs: number; bytes: number }[] = [];
  #toldAtMs = -Infinity;

  constructor(options: ManifestFillerOptions) {
    this.#options = options;
    this.#paused = options.paused;
    this.#survey = this.#openSurvey("", []);
  }

  /** Takes over a manifest; a round over the one before ends at its next chunk. */
  setManifest(version: string, items: readonly ManifestItem[]): void {
    this.#survey = this.#openSurvey(version, items);
    this.#surveyed = false;
    this.#samples = [];
    this.#wakeUp();
    this.#running ??= this.#run();
  }

  /** While it is paused nothing of the manifest is asked for, however urgent; what is on its way arrives. */
  setPaused(paused: boolean): void {
    this.#paused = paused;
    this.#again = true;
    this.#wakeUp();
    this.#tell();
  }

  /** These paths are held more, or less, than before. */
  noteChanged(paths: readonly string[]): void {
    // The first manifest is gone over whole; an appliance that never has one must not remember all that it ever held.
    if (!this.#running) return;
    for (const path of paths) this.#changed.add(path);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#wakeUp();
    await this.#running;
  }

  #openSurvey(version: string, items: readonly ManifestItem[]): FillSurvey {
    const { disks } = this.#options;
    const isDiskLost = () => disks.disks.some(({ diskNumber }) => disks.isLost(diskNumber));
    return new FillSurvey({ version, items }, { ...this.#options, isDiskLost });
  }

  async #run(): Promise<void> {
    let pauseMs = pauseMinMs;
    let heldBefore = 0;
    while (!this.#stopped) {
      const survey = this.#survey;
      this.#again = false;
      await this.#fillRound(survey);
      if (this.#stopped) return;
      if (survey !== this.#survey || this.#again) {
        pauseMs = pauseMinMs;
        heldBefore = 0;
        continue;
      }
      // What was fetched but could not be kept is no progress: a full disk must not become a storm of fetches.
      pauseMs = survey.bytesHeld > heldBefore ? pauseMinMs : Math.min(pauseMs * 2, pauseMaxMs);
      heldBefore = survey.bytesHeld;
      await this.#sleep(this.#waiting > 0 ? Math.max(pauseMinMs, Math.min(pauseMs, this.#nextTryMs, waitMaxMs)) : this.#untilOpen(pauseMs));
    }
  }

  /** Goes over the manifest once. */
  async #fillRound(survey: FillSurvey): Promise<void> {
    this.#failed = [];
    this.#waiting = 0;
    this.#nextTryMs = Infinity;
    const isOver = () => this.#stopped || survey !== this.#survey;
    if (this.#surveyed) {
      for (const path of this.#changed) survey.lookAt(path);
    } else {
      await survey.lookAtAll(isOver);
      if (isOver()) return;
      this.#surveyed = true;
    }
    this.#changed.clear();
    let next = 0;
    const fillObjects = async () => {
      while (next < survey.items.length && !isOver()) {
        const place = next++;
        const item = survey.items[place]!;
        if (survey.isWhole(place) || !this.#mayFill(item)) continue;
        this.#underWay.set(place, item);
        try {
          await this.#fillObject(item, isOver);
        } catch (error) {
          if (this.#failed.length < failuresShown) this.#failed.push({ path: item.path, reason: messageOf(error) });
        }
        this.#underWay.delete(place);
        survey.look(place);
        this.#tellNowAndThen();
      }
    };
    await Promise.all(Array.from({ length: objectsAtOnce }, fillObjects));
    await this.#options.store.flush();
    if (isOver()) return;
    // What was stored last has been looked at before it was on a disk.
    for (const path of this.#changed) survey.lookAt(path);
    this.#changed.clear();
    this.#tell();
  }

  async #fillObject(item: ManifestItem, isOver: () => boolean): Promise<void> {
    const { chunkBytes, finder, parallelMax, store, upstreams } = this.#options;
    const ranked = await finder.find(item.path);
    const open = openSources(ranked, finder.lackedForMs(item.path));
    if (open.sources.length === 0 && (!open.upstreams || upstreams.length === 0)) return this.#noteWaiting(open, ranked);
    const object = await this.#describe(item, open);
    if (!object) return this.#noteWaiting(open, ranked);
    const key = objectKeyOf(object);
    const chunkCount = chunkCountOf(object.sizeBytes, chunkBytes);
    let next = 0;
    const takeMissing = () => {
      while (next < chunkCount && store.holds(key, next)) next++;
      return next < chunkCount ? next++ : undefined;
    };
    const failures: unknown[] = [];
    // Lines never outlive the object: one that fails goes on with the next chunk, or ends when too much has failed.
    const fetchLine = async () => {
      for (;;) {
        await this.#takeTurn();
        try {
          if (isOver() || failures.length >= chunkFailuresMax || !this.#mayFill(item)) return;
          const chunk = takeMissing();
          if (chunk === undefined) return;
          await this.#untilRoom();
          if (!store.hasWritableDisk) {
            failures.push(new Error("no disk takes chunks"));
            return;
          }
          await this.#fetchAndStore(object, chunk, ranked).catch((error: unknown) => failures.push(error));
        } finally {
          this.#passTurn();
        }
        this.#tellNowAndThen();
      }
    };
    await Promise.all(Array.from({ length: Math.min(parallelMax, chunkCount) }, fetchLine));
    if (failures.length > 0) throw failures[0];
    if (!isOver() && next >= chunkCount) finder.noteHeld(item.path);
  }

  /** What the manifest names, from whoever proves to know it; undefined when none may be asked yet that does. */
  async #describe(item: ManifestItem, open: OpenSources): Promise<ObjectRecord | undefined> {
    const { describer, finder, index } = this.#options;
    const known = index.findObject(item.path);
    if (known?.etag === item.etag && !isRebuilt(known)) return known;
    for (const source of open.sources.slice(0, describingSourcesMax)) {
      const upstream = finder.open(source);
      const learned = upstream && (await describer.learn(item, upstream));
      if (learned) return learned;
    }
    if (!open.upstreams) return undefined;
    const outcome = await describer.describe(item.path, { via: noVia, refresh: true });
    if ("failure" in outcome) throw new Error(outcome.failure);
    return outcome.object;
  }

  async #fetchAndStore(object: ObjectRecord, chunk: number, ranked: RankedSources): Promise<void> {
    const { arena, chunkBytes, disks, fetcher, finder, pace, store, upstreams } = this.#options;
    const open = openSources(ranked, finder.lackedForMs(object.path), chunk);
    const sources = open.sources.flatMap((source) => finder.open(source) ?? []);
    const key = objectKeyOf(object);
    const bytes = chunkLengthOf(object.sizeBytes, chunkBytes, chunk);
    const writable = disks.disks.filter(({ diskNumber }) => disks.takesChunks(diskNumber));
    const [disk] = orderDisks(
      writable.map(({ diskNumber, uuid, extentCount }) => ({ diskNumber, uuid, weight: Math.max(1, extentCount) })),
      key,
      chunk,
    );
    const first = sources[0] ?? (open.upstreams ? upstreams[0] : undefined);
    await this.#sleep(
      pace.take(bytes, {
        scope: open.scope,
        stepBytesPerSecond: open.maxBytesPerSecond,
        source: first?.name,
        diskNumber: disk?.diskNumber,
      }),
    );
    if (this.#stopped || this.#paused) return;
    const outcome = await new Promise<FetchOutcome>((resolve) => {
      const request = { object, chunk, via: noVia, sources, ...(open.upstreams ? {} : { upstreams: [] }) };
      fetcher.fetch(request, { onDone: resolve });
    });
    if ("failure" in outcome) throw new Error(outcome.failure);
    // One that was in memory already may not be on a disk, and one that has come may have met a store without room.
    if (!store.holds(key, chunk)) await this.#untilRoom();
    if (!store.holds(key, chunk)) store.store(object, chunk, outcome.frame);
    arena.unpin(outcome.frame);
  }

  /** Resolves when the store has room, or when there is no disk to give it any. */
  async #untilRoom(): Promise<void> {
    const { store } = this.#options;
    while (!store.hasRoom && store.hasWritableDisk && !this.#stopped) {
      await store.flush();
      // That waits for no disk that is stuck: without a pause, nothing else would get its turn until this one has.
      if (!store.hasRoom) await this.#sleep(roomPauseMs);
    }
  }

  /** Chunks of all objects share the limit on how many are under way. */
  async #takeTurn(): Promise<void> {
    if (this.#chunksUnderWay >= this.#options.parallelMax) await new Promise<void>((resolve) => this.#turns.push(resolve));
    else this.#chunksUnderWay++;
  }

  #passTurn(): void {
    const next = this.#turns.shift();
    if (next) next();
    else this.#chunksUnderWay--;
  }

  #mayFill({ urgent }: ManifestItem): boolean {
    const { clock, windows } = this.#options;
    return !this.#paused && (urgent || windows.isOpen(clock.unixMs()));
  }

  #noteWaiting({ nextStepInMs }: OpenSources, { validSeconds }: RankedSources): void {
    this.#waiting++;
    this.#nextTryMs = Math.min(this.#nextTryMs, nextStepInMs ?? Infinity, validSeconds > 0 ? validSeconds * 1000 : Infinity);
  }

  #untilOpen(pauseMs: number): number {
    const nowMs = this.#options.clock.unixMs();
    const opensMs = this.#options.windows.nextOpen(nowMs) ?? Infinity;
    return opensMs > nowMs ? Math.min(Math.max(opensMs - nowMs, pauseMinMs), pauseMaxMs) : pauseMs;
  }

  #state(): FillState {
    const { clock, windows } = this.#options;
    if (this.#paused) return "paused";
    if (this.#survey.objectsHeld === this.#survey.items.length && this.#surveyed) return "done";
    if (this.#underWay.size > 0) return "filling";
    if (!windows.isOpen(clock.unixMs())) return "out-of-hours";
    return this.#waiting > 0 ? "waiting" : "filling";
  }

  #tellNowAndThen(): void {
    const { clock } = this.#options;
    if (clock.monotonicMs() - this.#toldAtMs < progressEveryMs) return;
    for (const path of this.#changed) this.#survey.lookAt(path);
    this.#changed.clear();
    this.#tell();
  }

  #tell(): void {
    const { clock, onProgress, sourceStatuses, windows } = this.#options;
    const survey = this.#survey;
    const nowMs = clock.monotonicMs();
    this.#toldAtMs = nowMs;
    this.#samples = [...this.#samples.filter(({ atMs }) => atMs >= nowMs - rateOverMs), { atMs: nowMs, bytes: survey.bytesHeld }];
    const [oldest] = this.#samples;
    const elapsedMs = nowMs - oldest!.atMs;
    const bytesPerSecond = elapsedMs > 0 ? Math.max(0, ((survey.bytesHeld - oldest!.bytes) / elapsedMs) * 1000) : 0;
    const left = survey.bytes - survey.bytesHeld;
    const opensUnixMs = windows.nextOpen(clock.unixMs());
    onProgress({
      manifestVersion: survey.manifestVersion,
      objects: survey.items.length,
      objectsHeld: survey.objectsHeld,
      bytes: survey.bytes,
      bytesHeld: survey.bytesHeld,
      failed: this.#failed,
      state: this.#state(),
      waiting: this.#waiting,
      bytesPerSecond: Math.round(bytesPerSecond),
      etaSeconds: left <= 0 ? 0 : bytesPerSecond > 0 ? Math.round(left / bytesPerSecond) : null,
      opensUnixMs: opensUnixMs ?? null,
      underWay: [...this.#underWay].map(([place, { path, sizeBytes, urgent }]) => ({
        path,
        bytes: sizeBytes,
        bytesHeld: survey === this.#survey ? survey.heldBytesOf(place) : 0,
        urgent,
      })),
      sources: sourceStatuses(),
    });
  }

  #wakeUp(): void {
    const sleeping = this.#wake;
    this.#wake = new AbortController();
    sleeping.abort();
  }

  /** Ends early when something has changed. */
  async #sleep(ms: number): Promise<void> {
    if (ms <= 0 || this.#stopped) return;
    await wait(ms, undefined, { signal: this.#wake.signal }).catch(() => {});
  }
}
