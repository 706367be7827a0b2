// Chooses what to ask for next: an object and a range of it.
import type { CatalogObject, LoadPlan } from "./load-plan.js";
import { seededRandom, type Random } from "./seeded-random.js";
import { ZipfChooser } from "./zipf.js";

/** Where one viewer is: the connection keeps it, the chooser moves it. */
export interface Viewer {
  object: CatalogObject | null;
  offset: number;
}

export interface Choice {
  object: CatalogObject;
  first: number;
  bytes: number;
}

export class RequestChooser {
  readonly #random: Random;
  readonly #zipf: ZipfChooser | null;
  /** For objects asked for once and for traces: this worker takes every `workers`-th. */
  #nextOnce: number;
  #crowded = false;
  readonly #choice: Choice;

  constructor(
    readonly plan: LoadPlan,
    readonly worker: number,
  ) {
    this.#random = seededRandom(plan.seed * 0x9e3779b1 + worker);
    this.#zipf = plan.requests.pick.kind === "zipf" ? new ZipfChooser(plan.objects.length, plan.requests.pick.alpha) : null;
    this.#nextOnce = worker;
    this.#choice = { object: plan.objects[0]!, first: 0, bytes: 0 };
  }

  /** Whether the crowd has come (see RequestPlan.crowd). */
  set crowded(crowded: boolean) {
    this.#crowded = crowded;
  }

  random(): number {
    return this.#random();
  }

  /** The next request of `viewer`; null when everything was asked for once. The answer is overwritten by the next call. */
  next(viewer: Viewer): Choice | null {
    const { requests } = this.plan;
    const choice = this.#choice;
    if (requests.walk === "sequential") {
      if (viewer.object === null || viewer.offset >= viewer.object.bytes) {
        viewer.object = this.#pick();
        viewer.offset = 0;
        if (viewer.object === null) return null;
      }
      const rangeBytes = requests.rangeBytes === "whole" ? viewer.object.bytes : requests.rangeBytes;
      choice.object = viewer.object;
      choice.first = viewer.offset;
      choice.bytes = Math.min(rangeBytes, viewer.object.bytes - viewer.offset);
      viewer.offset += rangeBytes;
      return choice;
    }
    const object = this.#pick();
    if (object === null) return null;
    choice.object = object;
    if (requests.rangeBytes === "whole" || object.bytes <= requests.rangeBytes) {
      choice.first = 0;
      choice.bytes = object.bytes;
    } else {
      // Whole ranges only, so that every response has the same length.
      const ranges = Math.floor(object.bytes / requests.rangeBytes);
      choice.first = Math.floor(this.#random() * ranges) * requests.rangeBytes;
      choice.bytes = requests.rangeBytes;
    }
    return choice;
  }

  #pick(): CatalogObject | null {
    const { objects, requests } = this.plan;
    if (this.#crowded && requests.crowd !== null && this.#random() < requests.crowd.share) return objects[0]!;
    switch (requests.pick.kind) {
      case "uniform":
        return objects[Math.floor(this.#random() * objects.length)]!;
      case "zipf":
        return objects[this.#zipf!.choose(this.#random())]!;
      case "once": {
        const object = objects[this.#nextOnce] ?? null;
        this.#nextOnce += this.plan.workers;
        return object;
      }
      case "trace": {
        const index = requests.pick.objectIndexes[this.#nextOnce];
        this.#nextOnce += this.plan.workers;
        return index === undefined ? null : objects[index]!;
      }
    }
  }
}
