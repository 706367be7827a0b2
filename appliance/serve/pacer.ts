// How much of a paced response may be sent at a moment: a token bucket that starts full, so that a player starts fast.

/** A paced response is sent in pieces of so much time: often enough to be even, seldom enough to cost little. */
const pieceMs = 100;
/** What a response that was woken late, or whose client stalled, may catch up. */
const catchUpMs = 500;

export interface PaceOptions {
  bytesPerSecond: number;
  /** Sent at once at the start. */
  burstBytes: number;
}

/** By a clock that never goes back. In the first t seconds no more than burstBytes + bytesPerSecond × t are allowed. */
export class Pacer {
  readonly #bytesPerMs: number;
  readonly #bucketBytes: number;
  readonly #pieceBytes: number;
  #tokens: number;
  #atMs: number;
  #offsetBytes = 0;

  constructor({ bytesPerSecond, burstBytes }: PaceOptions, nowMs: number) {
    this.#bytesPerMs = bytesPerSecond / 1000;
    this.#bucketBytes = Math.max(1, burstBytes, this.#bytesPerMs * catchUpMs);
    this.#pieceBytes = Math.max(1, Math.floor(this.#bytesPerMs * pieceMs));
    this.#tokens = Math.max(1, burstBytes);
    this.#atMs = nowMs;
  }

  /** Bytes that may be sent now, of a response of which `offsetBytes` are sent and `leftBytes` are not; 0: wait for `waitMs`. */
  allow(nowMs: number, { offsetBytes, leftBytes }: { offsetBytes: number; leftBytes: number }): number {
    this.#tokens = Math.min(this.#bucketBytes, this.#tokens + (nowMs - this.#atMs) * this.#bytesPerMs) - (offsetBytes - this.#offsetBytes);
    this.#atMs = nowMs;
    this.#offsetBytes = offsetBytes;
    const allowed = Math.floor(this.#tokens);
    // What comes first, with the head, waits for nothing.
    const wanted = offsetBytes === 0 ? 1 : Math.min(this.#pieceBytes, leftBytes);
    return allowed >= wanted ? Math.min(allowed, leftBytes) : 0;
  }

  /** How long until the next piece may be sent, after `allow` has said 0. */
  waitMs(leftBytes: number): number {
    return Math.max(1, Math.ceil((Math.min(this.#pieceBytes, leftBytes) - this.#tokens) / this.#bytesPerMs));
  }
}
