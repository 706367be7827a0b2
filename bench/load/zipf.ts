// Zipf's law over a catalog: object of rank r is asked for with probability r^-alpha / H(n, alpha).

/** The generalised harmonic number H(n, alpha): the sum of 1 / r^alpha for r from 1 to n. */
export function harmonicNumber(n: number, alpha: number): number {
  let sum = 0;
  // From the small terms to the large, which loses least to rounding.
  for (let rank = n; rank >= 1; rank--) sum += rank ** -alpha;
  return sum;
}

/** Chooses ranks (from 0) by Zipf's law: a table of n numbers and a binary search per choice. alpha 0 is the uniform choice. */
export class ZipfChooser {
  readonly #cumulative: Float64Array;

  constructor(
    readonly n: number,
    readonly alpha: number,
  ) {
    if (!(n >= 1) || !(alpha >= 0)) throw new RangeError(`A Zipf choice needs n >= 1 and alpha >= 0: received ${n}, ${alpha}`);
    const total = harmonicNumber(n, alpha);
    this.#cumulative = new Float64Array(n);
    let sum = 0;
    for (let rank = 1; rank <= n; rank++) {
      sum += rank ** -alpha / total;
      this.#cumulative[rank - 1] = sum;
    }
    this.#cumulative[n - 1] = 1;
  }

  /** The rank, 0 to n − 1, that the uniform number `u` in [0, 1) falls on. */
  choose(u: number): number {
    let low = 0;
    let high = this.n - 1;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#cumulative[middle]! > u) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  /** Probability of rank `rank` (from 0). */
  probability(rank: number): number {
    return this.#cumulative[rank]! - (rank === 0 ? 0 : this.#cumulative[rank - 1]!);
  }
}
