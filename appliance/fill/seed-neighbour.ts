// A neighbour that runs, as an import takes everything that it holds from it, and nothing that it would have to ask for elsewhere.
import { setTimeout as wait } from "node:timers/promises";
import { noVia } from "../../fill-protocol/via-header.js";
import { chunkCountOf, chunkLengthOf, type ObjectRecord } from "../object.js";
import type { HttpUpstream } from "./http-upstream.js";
import { SeedDamage } from "./seed-folder.js";
import type { SeedChunk, SeedObject, SeedSource } from "./seed-source.js";
import type { UpstreamFailure } from "./upstream.js";

/** What may pass is tried again so often, after so long: a neighbour serves players first. */
const triesMax = 30;
const tryAgainMs = 1000;
/** Whoever stops the import, or the appliance, waits no longer. */
const lookMs = 100;

export interface SeedNeighbourOptions {
  applianceId: string;
  /** Of this appliance. */
  chunkBytes: number;
  readsMax: number;
  /** Whether the import was stopped: nothing is tried again then. */
  isOver: () => boolean;
  upstream: HttpUpstream;
}

export class SeedNeighbour implements SeedSource {
  readonly name: string;
  readonly bytesTotal = null;
  readonly readsMax: number;
  readonly #options: SeedNeighbourOptions;

  constructor(options: SeedNeighbourOptions) {
    this.#options = options;
    this.name = options.upstream.name;
    this.readsMax = options.readsMax;
  }

  async *chunks(): AsyncGenerator<SeedChunk> {
    const { applianceId, chunkBytes, isOver, upstream } = this.#options;
    for (let after = ""; ;) {
      const page = await this.#tryAgain(() => upstream.listHoldings(after, [applianceId]));
      if ("failure" in page) throw new SeedDamage(`${this.name} does not say what it holds: ${page.detail}`);
      for (const [path, sizeBytes, etag, held] of page.versions) {
        const object: SeedObject = { path, sizeBytes, etag, describe: (request) => upstream.describe(request) };
        const chunkCount = chunkCountOf(sizeBytes, chunkBytes);
        let next = 0;
        for (let at = 0; at < held.length && !isOver(); at += 2) {
          const fromByte = held[at]! * page.chunkBytes;
          const endByte = Math.min(sizeBytes, (held[at]! + held[at + 1]!) * page.chunkBytes);
          // A chunk of ours that lies in its chunks only in part is left out: the neighbour would have to fetch the rest.
          for (let chunk = Math.max(next, Math.ceil(fromByte / chunkBytes)); chunk < chunkCount; chunk++) {
            if (chunk * chunkBytes + chunkLengthOf(sizeBytes, chunkBytes, chunk) > endByte) break;
            next = chunk + 1;
            yield { object, chunk, read: (proven, into) => this.#read(proven, chunk, into) };
          }
        }
      }
      if (page.next === "") return;
      // In order, so that a list that leads in a ring ends.
      if (page.next <= after) throw new SeedDamage(`${this.name} lists what it holds in a ring`);
      after = page.next;
    }
  }

  async close(): Promise<void> {
    await this.#options.upstream.close();
  }

  async #read(
    { path, sizeBytes, etag, lastModifiedUnixMs }: ObjectRecord,
    chunk: number,
    into: Uint8Array,
  ): Promise<UpstreamFailure | undefined> {
    const { applianceId, chunkBytes, upstream } = this.#options;
    const range = { path, sizeBytes, etag, lastModifiedUnixMs, digested: true, via: [...noVia, applianceId], into };
    const outcome = await this.#tryAgain(async () => (await upstream.fetch({ ...range, offsetBytes: chunk * chunkBytes })) ?? undefined);
    return outcome === "not-found" ? { failure: "version-changed", detail: `${this.name} does not have it any more` } : outcome;
  }

  async #tryAgain<Value>(ask: () => Promise<Value | UpstreamFailure>): Promise<Value | UpstreamFailure> {
    for (let tries = 1; ; tries++) {
      const answer = await ask();
      if (typeof answer !== "object" || answer === null || !("failure" in answer)) return answer;
      const { failure, retryAfterMs } = answer as UpstreamFailure;
      const mayPass = failure === "busy" || failure === "unreachable" || failure === "timeout";
      if (!mayPass || tries >= triesMax || this.#options.isOver()) return answer;
      const untilMs = performance.now() + (retryAfterMs ?? tryAgainMs);
      while (performance.now() < untilMs && !this.#options.isOver()) await wait(lookMs);
    }
  }
}
