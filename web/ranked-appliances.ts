// Which appliance the next request goes to: the ranked list of a title, what failed, and when it may be tried again.

/** One row of the gateway's answer to `POST /api/playback`. */
export interface RankedUrl {
  readonly applianceId: string;
  readonly siteId: string;
  /** Absolute URL of the HLS manifest on this appliance. */
  readonly hls: string;
  /** How much of the title the appliance holds. */
  readonly holds: string;
}

export interface RankedAppliance extends RankedUrl {
  /** `serving`: the next request goes there. `standby`: would be asked when those above fail. */
  readonly state: "serving" | "standby" | "failed";
  readonly failedAtMs: number | undefined;
  /** In words; empty when it has not failed. */
  readonly reason: string;
  readonly requests: number;
  readonly bytes: number;
}

/** The first wait before a failed appliance is probed: longer than a restart of the process takes. */
const firstProbeAfterMs = 10_000;
/** The wait doubles with each failure up to this: a box that is away for hours costs one small request in five minutes. */
const lastProbeAfterMs = 300_000;
/** An appliance that served this long since it failed is trusted as one that never failed. */
const forgetFailureAfterMs = 120_000;

interface Row {
  url: RankedUrl;
  failedAtMs: number | undefined;
  reason: string;
  /** Failures in sequence, for the doubling of the wait. */
  failures: number;
  lastFailureAtMs: number;
  probeAtMs: number;
  requests: number;
  bytes: number;
}

/**
 * The ranked list of one title as a state machine without timers, sockets or clock: each call that depends on time is told the time.
 * Requests go to the highest ranked appliance that has not failed. A failed one is left alone until a probe has found it well.
 */
export class RankedAppliances {
  #rows: Row[] = [];
  #failovers = 0;
  /** The appliance that failed, until another one (or itself again) has served. */
  #failedOverFrom: string | undefined;

  /** How many times another appliance took over from one that failed. Counted when it has served. */
  get failovers(): number {
    return this.#failovers;
  }

  /** True when every appliance has failed, or none is known. */
  get exhausted(): boolean {
    return this.#rows.every((row) => row.failedAtMs !== undefined);
  }

  get size(): number {
    return this.#rows.length;
  }

  /** Takes a new ranking. What is known of an appliance that stays at the same URL is kept; doubles and empty URLs are dropped. */
  replace(urls: readonly RankedUrl[]): void {
    const before = new Map(this.#rows.map((row) => [row.url.applianceId, row]));
    const rows = new Map<string, Row>();
    for (const url of urls) {
      if (url.hls === "" || rows.has(url.applianceId)) continue;
      const known = before.get(url.applianceId);
      if (known && known.url.hls === url.hls) rows.set(url.applianceId, { ...known, url });
      else rows.set(url.applianceId, { ...freshRow(url), requests: known?.requests ?? 0, bytes: known?.bytes ?? 0 });
    }
    this.#rows = [...rows.values()];
  }

  /** The appliance for the next request; `undefined` when all have failed. */
  nextBase(): RankedUrl | undefined {
    return this.#rows.find((row) => row.failedAtMs === undefined)?.url;
  }

  markServed(applianceId: string, bytes: number, nowMs: number): void {
    const row = this.#find(applianceId);
    if (!row) return;
    row.requests++;
    row.bytes += bytes;
    // A last answer that was already on its way says nothing about the appliance's health now.
    if (row.failedAtMs !== undefined) return;
    if (this.#failedOverFrom !== undefined && this.#failedOverFrom !== applianceId) this.#failovers++;
    this.#failedOverFrom = undefined;
    if (nowMs - row.lastFailureAtMs >= forgetFailureAfterMs) row.failures = 0;
  }

  /** Two requests that were under way on the same appliance fail together: the second changes nothing. */
  markFailed(applianceId: string, reason: string, nowMs: number): void {
    const row = this.#find(applianceId);
    if (!row || row.failedAtMs !== undefined) return;
    if (this.nextBase()?.applianceId === applianceId) this.#failedOverFrom ??= applianceId;
    row.failedAtMs = nowMs;
    row.reason = reason;
    this.#postponeProbe(row, nowMs);
  }

  /** Failed appliances whose wait is over. The caller probes each, and tells markRecovered() or markProbeFailed(). */
  dueForProbe(nowMs: number): readonly RankedUrl[] {
    return this.#rows.filter((row) => row.failedAtMs !== undefined && nowMs >= row.probeAtMs).map((row) => row.url);
  }

  /** Takes part again, at its rank. */
  markRecovered(applianceId: string): void {
    const row = this.#find(applianceId);
    if (!row) return;
    row.failedAtMs = undefined;
    row.reason = "";
  }

  markProbeFailed(applianceId: string, nowMs: number): void {
    const row = this.#find(applianceId);
    if (row?.failedAtMs !== undefined) this.#postponeProbe(row, nowMs);
  }

  /** Gives every appliance another chance: for when all have failed, and waiting longer helps nobody. */
  forgiveAll(): void {
    for (const row of this.#rows) this.markRecovered(row.url.applianceId);
  }

  /** In rank order, for the page. */
  list(): readonly RankedAppliance[] {
    const next = this.nextBase();
    return this.#rows.map((row) => {
      const state = row.failedAtMs !== undefined ? "failed" : row.url === next ? "serving" : "standby";
      return { ...row.url, state, failedAtMs: row.failedAtMs, reason: row.reason, requests: row.requests, bytes: row.bytes };
    });
  }

  #find(applianceId: string): Row | undefined {
    return this.#rows.find((row) => row.url.applianceId === applianceId);
  }

  #postponeProbe(row: Row, nowMs: number): void {
    row.probeAtMs = nowMs + Math.min(firstProbeAfterMs * 2 ** row.failures, lastProbeAfterMs);
    row.failures++;
    row.lastFailureAtMs = nowMs;
  }
}

function freshRow(url: RankedUrl): Row {
  return { url, failedAtMs: undefined, reason: "", failures: 0, lastFailureAtMs: -Infinity, probeAtMs: 0, requests: 0, bytes: 0 };
}
