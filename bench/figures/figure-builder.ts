// Gathers what one measurement finds into a Figure.
import type { Figure, FigureUnit, FigureValue } from "../report/figures-result.js";
import { spreadOf } from "../report/medians.js";

export class FigureBuilder {
  readonly #figure: Figure;
  readonly #onRound: () => void;

  /** `onRound` is called whenever there is something new. */
  constructor(name: string, title: string, onRound: () => void = () => {}) {
    this.#figure = { name, title, method: [], values: [], faults: [], notes: [] };
    this.#onRound = onRound;
  }

  get figure(): Figure {
    return this.#figure;
  }

  /** One sentence on how it is measured. */
  method(text: string): void {
    this.#figure.method.push(text);
  }

  /** One more round of the value `name`. The target is that of the first round. */
  add(name: string, unit: FigureUnit, value: number, target: FigureValue["target"] = null): void {
    let entry = this.#figure.values.find((known) => known.name === name);
    if (!entry) {
      entry = { name, unit, rounds: [], spread: { median: 0, min: 0, max: 0 }, target, reached: null };
      this.#figure.values.push(entry);
    }
    entry.rounds.push(value);
    entry.spread = spreadOf(entry.rounds)!;
    entry.reached = reaches(entry.spread.median, entry.target);
    this.#onRound();
  }

  /** Something that must not happen. */
  fault(text: string): void {
    if (!this.#figure.faults.includes(text)) this.#figure.faults.push(text);
  }

  note(text: string): void {
    if (!this.#figure.notes.includes(text)) this.#figure.notes.push(text);
  }
}

function reaches(value: number, target: FigureValue["target"]): boolean | null {
  if (target === null) return null;
  return "atLeast" in target ? value >= target.atLeast : value <= target.atMost;
}
