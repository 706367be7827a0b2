// Which players were sent where, and what that reserves: nominal bitrates, because what is sent at this moment may be a quiet scene.
import type { Box } from "./steering-fleet.js";

/** Reservations in one process; beyond it the oldest makes room. 200 bytes each. */
const reservationsMax = 1_000_000;

interface Reservation {
  box: Box;
  bitsPerSecond: number;
  endsAtMs: number;
}

/** A reservation ends when it is released, or when nobody has renewed it for `validForMs`: a player that went away says nothing. */
export class SessionLedger {
  readonly #validForMs: number;
  readonly #onEnd: (sessionId: string) => void;
  /** In the order in which they end. */
  readonly #reservations = new Map<string, Reservation>();

  /** @param options.onEnd told of sessions that are released or expire, not of those that move. */
  constructor(options: { validForMs: number; onEnd?: (sessionId: string) => void }) {
    this.#validForMs = options.validForMs;
    this.#onEnd = options.onEnd ?? (() => {});
  }

  get size(): number {
    return this.#reservations.size;
  }

  /** Where the session was sent last; undefined when it has no reservation. */
  boxOf(sessionId: string): Box | undefined {
    return this.#reservations.get(sessionId)?.box;
  }

  /** Reserves anew or renews; a session that is sent elsewhere leaves where it was. */
  reserve(sessionId: string, { box, bitsPerSecond, nowMs }: { box: Box; bitsPerSecond: number; nowMs: number }): void {
    this.#takeBack(sessionId);
    if (this.#reservations.size >= reservationsMax) this.release(this.#reservations.keys().next().value!);
    box.reserved += bitsPerSecond;
    this.#reservations.set(sessionId, { box, bitsPerSecond, endsAtMs: nowMs + this.#validForMs });
  }

  /** False when there was none. */
  release(sessionId: string): boolean {
    if (!this.#takeBack(sessionId)) return false;
    this.#onEnd(sessionId);
    return true;
  }

  #takeBack(sessionId: string): boolean {
    const reservation = this.#reservations.get(sessionId);
    if (!reservation) return false;
    this.#reservations.delete(sessionId);
    reservation.box.reserved = Math.max(0, reservation.box.reserved - reservation.bitsPerSecond);
    return true;
  }

  /** Releases what was not renewed in time. */
  expire(nowMs: number): void {
    for (const [sessionId, { endsAtMs }] of this.#reservations) {
      if (endsAtMs > nowMs) return;
      this.release(sessionId);
    }
  }

  /** When the last reservation on the box ends; undefined when it has none. Looks at all. */
  lastEndOn(box: Box): number | undefined {
    if (box.reserved === 0) return undefined;
    let last: number | undefined;
    for (const reservation of this.#reservations.values()) if (reservation.box === box) last = reservation.endsAtMs;
    return last;
  }
}
