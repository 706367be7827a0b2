// Turns the totals that appliances report into rates per second, and keeps five minutes of them.
import type { FleetAppliance } from "./gateway-answers.js";

export interface ApplianceRates {
  readonly requestsPerSecond: number;
  readonly bytesSentPerSecond: number;
  readonly bytesFilledPerSecond: number;
}

export interface FleetSample {
  readonly atMs: number;
  /** Bytes per second sent by each appliance, by its id. */
  readonly sent: ReadonlyMap<string, number>;
  /** Bytes per second filled by the whole fleet. */
  readonly filled: number;
}

export const historyMs = 300_000;
/** Polls come every 2 s; this bounds the memory of a page whose clock runs wild. */
const historyMaxSamples = 600;
/** An appliance that has not reported for this long sends nothing that we know of. */
const silentAfterMs = 15_000;

interface Watched {
  heartbeatMs: number;
  heardAtMs: number;
  requests: number;
  bytesSent: number;
  bytesFilled: number;
  rates: ApplianceRates | undefined;
  restarts: number;
}

const silence: ApplianceRates = { requestsPerSecond: 0, bytesSentPerSecond: 0, bytesFilledPerSecond: 0 };

export class FleetRates {
  #watched = new Map<string, Watched>();
  #history: FleetSample[] = [];

  /**
   * Takes in one poll. Totals change only with a heartbeat, so rates are taken between heartbeats, by the times these carry:
   * a poll that falls between two of them changes nothing. Totals that fall mean a new process that began at zero.
   */
  observe(appliances: readonly FleetAppliance[], nowMs: number): void {
    const watched = new Map<string, Watched>();
    for (const appliance of appliances) watched.set(appliance.id, next(this.#watched.get(appliance.id), appliance, nowMs));
    this.#watched = watched;
    const sent = new Map<string, number>();
    let filled = 0;
    for (const [id, { rates }] of watched) {
      sent.set(id, rates?.bytesSentPerSecond ?? 0);
      filled += rates?.bytesFilledPerSecond ?? 0;
    }
    this.#history.push({ atMs: nowMs, sent, filled });
    const oldest = this.#history.findIndex((sample) => nowMs - sample.atMs <= historyMs);
    this.#history.splice(0, Math.max(oldest, this.#history.length - historyMaxSamples));
  }

  /** `undefined` until two heartbeats of the appliance were seen. */
  of(applianceId: string): ApplianceRates | undefined {
    return this.#watched.get(applianceId)?.rates;
  }

  /** Restarts seen since the page was opened. */
  restartsOf(applianceId: string): number {
    return this.#watched.get(applianceId)?.restarts ?? 0;
  }

  /** Oldest first, at most the last five minutes. */
  get history(): readonly FleetSample[] {
    return this.#history;
  }
}

function next(before: Watched | undefined, appliance: FleetAppliance, nowMs: number): Watched {
  const { requests, bytesSent, bytesFilled, lastHeartbeatUnixMs: heartbeatMs } = appliance;
  const totals = { heartbeatMs, heardAtMs: nowMs, requests, bytesSent, bytesFilled };
  if (!before) return { ...totals, rates: undefined, restarts: 0 };
  if (heartbeatMs <= before.heartbeatMs) {
    const silent = appliance.state === "offline" || nowMs - before.heardAtMs >= silentAfterMs;
    return silent && before.rates ? { ...before, rates: silence } : before;
  }
  const restarted = requests < before.requests || bytesSent < before.bytesSent || bytesFilled < before.bytesFilled;
  const from = restarted ? { requests: 0, bytesSent: 0, bytesFilled: 0 } : before;
  const seconds = (heartbeatMs - before.heartbeatMs) / 1000;
  return {
    ...totals,
    restarts: before.restarts + (restarted ? 1 : 0),
    rates: {
      requestsPerSecond: (requests - from.requests) / seconds,
      bytesSentPerSecond: (bytesSent - from.bytesSent) / seconds,
      bytesFilledPerSecond: (bytesFilled - from.bytesFilled) / seconds,
    },
  };
}
