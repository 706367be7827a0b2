// How many playbacks there are: sessions that have asked for something lately, by the name that their token or their CMCD gives them.
//
// Linear counting (Whang et al., ACM TODS 15:2, 1990): a bit per session in a bitmap that all serving workers share. From the share of bits
// that are still 0 follows how many sessions there were, within 1 % up to some hundred thousands. Two bitmaps take turns, so that the
// estimate is over the last one to two periods.

const bitCount = 2 ** 18;
const wordCount = bitCount / 32;
/** A player that has not asked for anything for this long has ended, or is paused; one with a long buffer asks at least so often. */
export const sessionPeriodMs = 30_000;

export function allocateSessionCounter(): SharedArrayBuffer {
  return new SharedArrayBuffer((1 + 2 * wordCount) * 4);
}

export class SessionCounter {
  /** Word 0 says which bitmap is the present one. */
  readonly #words: Int32Array;

  constructor(memory: SharedArrayBuffer) {
    this.#words = new Int32Array(memory);
  }

  /** The session has asked for something. */
  note(session: string): void {
    const bit = hashOf(session) & (bitCount - 1);
    const word = 1 + (this.#words[0]! & 1) * wordCount + (bit >>> 5);
    const mask = 1 << (bit & 31);
    if ((this.#words[word]! & mask) === 0) Atomics.or(this.#words, word, mask);
  }

  /** Begins a new period; for one thread, each `sessionPeriodMs`. */
  turn(): void {
    const next = (this.#words[0]! + 1) & 1;
    this.#words.fill(0, 1 + next * wordCount, 1 + (next + 1) * wordCount);
    Atomics.store(this.#words, 0, next);
  }

  /** An estimate. */
  count(): number {
    let zeros = 0;
    for (let word = 1; word <= wordCount; word++) zeros += 32 - onesOf(this.#words[word]! | this.#words[word + wordCount]!);
    return Math.round(bitCount * Math.log(bitCount / Math.max(1, zeros)));
  }
}

/** FNV-1a, with murmur3's finaliser. Whoever makes up names can only make us count wrong. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

function onesOf(word: number): number {
  let bits = word - ((word >>> 1) & 0x55555555);
  bits = (bits & 0x33333333) + ((bits >>> 2) & 0x33333333);
  return Math.imul((bits + (bits >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}
