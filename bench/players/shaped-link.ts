// A player's line as a token bucket: how many bytes may be read from its socket now.
import { type BandwidthTrace, bytesBetween } from "./bandwidth-trace.js";

/** What a line that was idle carries at once: some ten packets, as TCP's initial window (RFC 6928) would let it. */
export const burstBytes = 16 * 1024;

/**
 * Tokens come as the trace says and are taken by reads. The bucket is cut to `burstBytes` only when the reader left tokens unused, so that a
 * late timer loses no bandwidth but an idle line saves none up.
 */
export class ShapedLink {
  readonly #trace: BandwidthTrace;
  readonly #offsetSeconds: number;
  #atSeconds: number;
  #tokens = burstBytes;

  /** At `nowSeconds` the trace is at `offsetSeconds`. */
  constructor(trace: BandwidthTrace, nowSeconds: number, offsetSeconds: number) {
    this.#trace = trace;
    this.#offsetSeconds = offsetSeconds - nowSeconds;
    this.#atSeconds = nowSeconds;
  }

  /** Whole bytes that may be read at `nowSeconds`. */
  availableBytes(nowSeconds: number): number {
    if (nowSeconds > this.#atSeconds) {
      this.#tokens += bytesBetween(this.#trace, this.#atSeconds + this.#offsetSeconds, nowSeconds + this.#offsetSeconds);
      this.#atSeconds = nowSeconds;
    }
    return Math.floor(this.#tokens);
  }

  /** `bytes` were read, at most those available. */
  take(bytes: number): void {
    this.#tokens -= bytes;
  }

  /** The reader has nothing (more) to read now: what it left does not wait for it. */
  leaveIdle(nowSeconds: number): void {
    this.availableBytes(nowSeconds);
    this.#tokens = Math.min(this.#tokens, burstBytes);
  }
}
