// A small number for each id, so that tables of the whole fleet are arrays and not maps.

export class Numbering {
  readonly #numbers = new Map<string, number>();

  /** The number of `id`, given at the first question and kept for the life of the process. */
  numberOf(id: string): number {
    let number = this.#numbers.get(id);
    if (number === undefined) this.#numbers.set(id, (number = this.#numbers.size));
    return number;
  }

  get count(): number {
    return this.#numbers.size;
  }
}
