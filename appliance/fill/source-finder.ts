// Where an object of the manifest may be had: asks the agent, remembers what the control plane said, and opens the sources.
import { LRUCache } from "lru-cache";
import type { Clock } from "../../runtime/clock.js";
import type { Log } from "../../runtime/log.js";
import { messageOf } from "../../runtime/operating-error.js";
import type { EscalationStep, RankedSource, RankedSources } from "./escalation.js";
import type { Upstream } from "./upstream.js";

/** Appliances that the control plane named as sources are kept open, this many. */
const sourcesOpenMax = 64;
/** Answers that are good for a while, and objects whose lack has been noticed, are remembered for so many objects. */
const objectsMax = 100_000;

export interface SourceFinderOptions {
  /** Undefined: the control plane does not answer. */
  ask: (path: string) => Promise<RankedSources | undefined>;
  clock: Clock;
  log: Log;
  /** @throws what says why the URL is none. */
  openSource: (url: string, applianceId: string) => Upstream;
}

export class SourceFinder {
  readonly #options: SourceFinderOptions;
  readonly #open = new LRUCache<string, Upstream>({ max: sourcesOpenMax, dispose: (upstream) => void upstream.close() });
  readonly #answers: LRUCache<string, RankedSources>;
  readonly #lackedSinceMs = new LRUCache<string, number>({ max: objectsMax });
  /** Of the last answer: the rules go on while the control plane is away, so that its loss sends nobody to the origin at once. */
  #lastSteps: readonly EscalationStep[] = [];

  constructor(options: SourceFinderOptions) {
    this.#options = options;
    this.#answers = new LRUCache({ max: objectsMax, perf: { now: () => options.clock.monotonicMs() }, ttlResolution: 0 });
  }

  async find(path: string): Promise<RankedSources> {
    const remembered = this.#answers.get(path);
    if (remembered) return remembered;
    const answer = await this.#options.ask(path);
    if (!answer) return { sources: [], steps: this.#lastSteps, validSeconds: 0 };
    this.#lastSteps = answer.steps;
    if (answer.validSeconds > 0) this.#answers.set(path, answer, { ttl: answer.validSeconds * 1000 });
    return answer;
  }

  /** For how long the object has been lacked; the first question starts the clock. A restart starts it anew. */
  lackedForMs(path: string): number {
    const nowMs = this.#options.clock.monotonicMs();
    const sinceMs = this.#lackedSinceMs.get(path) ?? nowMs;
    this.#lackedSinceMs.set(path, sinceMs);
    return nowMs - sinceMs;
  }

  noteHeld(path: string): void {
    this.#lackedSinceMs.delete(path);
    this.#answers.delete(path);
  }

  open({ url, applianceId }: RankedSource): Upstream | undefined {
    try {
      const name = `${applianceId} ${url}`;
      const open = this.#open.get(name) ?? this.#options.openSource(url, applianceId);
      this.#open.set(name, open);
      return open;
    } catch (error) {
      this.#options.log.warn({ url, error: messageOf(error) }, "a source cannot be used");
      return undefined;
    }
  }
}
