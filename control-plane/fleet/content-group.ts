// A set of objects that is played together, and for each appliance how many of them it holds whole: kept up with every report, so that
// a decision reads one number instead of looking each object up.
import { xxh32 } from "@node-rs/xxhash";
import type { WantedObject } from "./holdings-register.js";

export class ContentGroup {
  readonly wanted: readonly WantedObject[];
  /** Of the first object's path, which stands for the title: the same for all its versions. */
  readonly hash: number;
  /** By the appliance's number. */
  #whole: Uint16Array;
  #holders = 0;

  /** @param wanted 1 to 65,535 objects. */
  constructor(wanted: readonly WantedObject[], applianceCount: number) {
    this.wanted = wanted;
    this.hash = xxh32(wanted[0]!.path);
    this.#whole = new Uint16Array(Math.max(16, applianceCount));
  }

  /** Appliances that hold everything. */
  get holders(): number {
    return this.#holders;
  }

  holdsAll(appliance: number): boolean {
    return this.#whole[appliance] === this.wanted.length;
  }

  /** How many of the objects the appliance holds whole. */
  wholeCountOf(appliance: number): number {
    return this.#whole[appliance] ?? 0;
  }

  /** To be called whenever an object of the group becomes whole at an appliance (+1) or ceases to be (-1). */
  count(appliance: number, change: 1 | -1): void {
    if (appliance >= this.#whole.length) {
      const grown = new Uint16Array(Math.max(appliance + 1, this.#whole.length * 2));
      grown.set(this.#whole);
      this.#whole = grown;
    }
    if (this.holdsAll(appliance)) this.#holders--;
    this.#whole[appliance] = this.#whole[appliance]! + change;
    if (this.holdsAll(appliance)) this.#holders++;
  }
}
