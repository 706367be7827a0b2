// One title being played: asks the gateway for ranked URLs, feeds hls.js through them, and gets over appliances and gateways that go away.
import type HlsLibrary from "hls.js";
import type { ErrorData } from "hls.js";
import { failoverLoader, type LoaderClass, type RequestRecord, type Route } from "./failover-loader.js";
import type { Playback } from "./gateway-answers.js";
import { GatewayError, requestPlayback } from "./gateway-client.js";
import { RankedAppliances } from "./ranked-appliances.js";
import { bufferedSeconds } from "./buffered-seconds.js";
import { rebaseUrl } from "./rebase-url.js";
import { choosePatienceMs, longestPatienceMs } from "./request-patience.js";

/** Waits between rounds in which every appliance is tried once more; the last one repeats. */
const roundWaitsMs = [500, 1_000, 2_000, 4_000, 8_000, 15_000] as const;
/** About ten minutes of the last wait. After that a person is asked whether it is worth going on. */
const maxRounds = 45;
/** A failover makes the page ask for a fresh ranking, at most this often. */
const rankingMinIntervalMs = 10_000;
/** A segment that trickles in for longer than this is too slow to be watched. Silence is caught long before. */
const wholeAnswerTimeoutMs = 60_000;
const probeTimeoutMs = 4_000;
const probeCheckMs = 1_000;
/**
 * What the player keeps in hand, and no more than that: several times what a failover takes at its worst, and little enough that a viewer who
 * leaves has wasted little. (hls.js alone would go on to 60 MB, ten minutes of it at most: a short film whole.)
 */
const bufferSeconds = 30;
const requestLogLength = 50;
/** hls.js can rebuild a decoder that failed; three times in one title is bad luck, more is a bad film. */
const maxMediaRecoveries = 3;

export type SessionState =
  | { readonly kind: "starting" }
  | { readonly kind: "going" }
  /** No appliance answers now; all are tried again at `nextTryAtMs`. */
  | { readonly kind: "waiting"; readonly nextTryAtMs: number; readonly words: string }
  /** Only retry() goes on from here. */
  | { readonly kind: "stopped"; readonly words: string };

export class PlaybackSession {
  readonly titleId: string;
  readonly hls: HlsLibrary;
  readonly #video: HTMLVideoElement;
  readonly #appliances = new RankedAppliances();
  readonly #requests: RequestRecord[] = [];
  readonly #waitingRequests = new Set<() => void>();
  readonly #probing = new Set<string>();
  readonly #probeTimer: ReturnType<typeof setInterval>;
  readonly #ended = new AbortController();
  #state: SessionState = { kind: "starting" };
  #playback: Playback | undefined;
  /** The manifest URL that hls.js knows; all others are moved from there. */
  #canonicalUrl: string | undefined;
  #roundTimer: ReturnType<typeof setTimeout> | undefined;
  /** Rounds since an appliance last served, in which all were tried in vain. */
  #fruitlessRounds = 0;
  #askedAtMs = -Infinity;
  #mediaRecoveries = 0;
  /** hls.js has given up and must load the manifest anew. */
  #broken = false;

  constructor(titleId: string, video: HTMLVideoElement, Hls: typeof HlsLibrary) {
    this.titleId = titleId;
    this.#video = video;
    const timeouts = { maxTimeToFirstByteMs: longestPatienceMs, maxLoadTimeMs: wholeAnswerTimeoutMs };
    const defaults = Hls.DefaultConfig;
    this.hls = new Hls({
      loader: failoverLoader(defaults.loader as LoaderClass, {
        route: (url) => this.#route(url),
        onServed: (record) => this.#onServed(record),
        onFailed: (record) => this.#onFailed(record),
        patienceMs: (phase) => choosePatienceMs(phase, bufferedSeconds(video), this.#fruitlessRounds),
        onceRoutable: (retry) => {
          this.#waitingRequests.add(retry);
          return () => this.#waitingRequests.delete(retry);
        },
      }),
      // Fragmented MP4 needs next to no work, and a worker made from a blob would need a hole in the content security policy.
      enableWorker: false,
      maxBufferLength: bufferSeconds,
      maxMaxBufferLength: bufferSeconds,
      manifestLoadPolicy: { default: { ...defaults.manifestLoadPolicy.default, ...timeouts } },
      playlistLoadPolicy: { default: { ...defaults.playlistLoadPolicy.default, ...timeouts } },
      fragLoadPolicy: { default: { ...defaults.fragLoadPolicy.default, ...timeouts } },
    });
    this.hls.on(Hls.Events.ERROR, (_event, data) => this.#onHlsError(data, Hls));
    this.hls.attachMedia(video);
    this.#probeTimer = setInterval(() => this.#probeFailed(), probeCheckMs);
    void this.#round();
  }

  get state(): SessionState {
    return this.#state;
  }

  /** What the gateway answered last; `undefined` until it first did. */
  get playback(): Playback | undefined {
    return this.#playback;
  }

  get appliances(): RankedAppliances {
    return this.#appliances;
  }

  /** Newest first. */
  get requests(): readonly RequestRecord[] {
    return this.#requests;
  }

  /** Goes on after `stopped`, or shortens a `waiting`. */
  retry(): void {
    if (this.#state.kind !== "waiting" && this.#state.kind !== "stopped") return;
    this.#fruitlessRounds = 0;
    clearTimeout(this.#roundTimer);
    this.#roundTimer = undefined;
    void this.#round();
  }

  end(): void {
    this.#ended.abort();
    clearInterval(this.#probeTimer);
    clearTimeout(this.#roundTimer);
    this.#waitingRequests.clear();
    this.hls.destroy();
  }

  #route(url: string): Route {
    const canonical = this.#canonicalUrl;
    const next = this.#appliances.nextBase();
    if (canonical === undefined || rebaseUrl(url, canonical, canonical) === undefined) return { kind: "foreign" };
    if (!next) return { kind: "none" };
    const moved = rebaseUrl(url, canonical, next.hls);
    return moved === undefined ? { kind: "foreign" } : { kind: "appliance", applianceId: next.applianceId, url: moved };
  }

  #onServed(record: RequestRecord): void {
    this.#log(record);
    this.#appliances.markServed(record.applianceId, record.bytes, Date.now());
    this.#fruitlessRounds = 0;
    if (this.#roundTimer === undefined && this.#state.kind !== "stopped") this.#state = { kind: "going" };
  }

  #onFailed(record: RequestRecord): void {
    this.#log(record);
    this.#appliances.markFailed(record.applianceId, record.failure, Date.now());
    if (this.#appliances.exhausted) this.#scheduleRound("No appliance answers now.");
    else void this.#refreshRanking();
  }

  #log(record: RequestRecord): void {
    this.#requests.unshift(record);
    this.#requests.length = Math.min(this.#requests.length, requestLogLength);
  }

  #scheduleRound(words: string): void {
    if (this.#roundTimer !== undefined || this.#ended.signal.aborted) return;
    if (this.#fruitlessRounds >= maxRounds) {
      this.#state = { kind: "stopped", words };
      return;
    }
    const waitMs = roundWaitsMs[Math.min(this.#fruitlessRounds, roundWaitsMs.length - 1)]!;
    this.#fruitlessRounds++;
    this.#state = { kind: "waiting", nextTryAtMs: Date.now() + waitMs, words };
    this.#roundTimer = setTimeout(() => {
      this.#roundTimer = undefined;
      void this.#round();
    }, waitMs);
  }

  /** Asks for URLs, and lets what waits try all of them once. Without the gateway the URLs at hand are as good as they were. */
  async #round(): Promise<void> {
    let words = "";
    try {
      this.#takeRanking(await this.#ask());
      if (this.#appliances.size === 0) words = refusal(this.#playback);
    } catch (error) {
      if (!(error instanceof GatewayError)) throw error;
      words = error.message;
      const refused = error.status >= 400 && error.status < 500 && error.status !== 429;
      if (refused && this.#appliances.size === 0 && !this.#ended.signal.aborted) {
        this.#state = { kind: "stopped", words };
        return;
      }
    }
    if (this.#ended.signal.aborted) return;
    this.#appliances.forgiveAll();
    const first = this.#appliances.nextBase();
    if (!first) {
      this.#scheduleRound(words);
      return;
    }
    if (this.#canonicalUrl === undefined || this.#broken) {
      this.#canonicalUrl ??= first.hls;
      if (this.#broken) this.hls.config.startPosition = this.#video.currentTime;
      this.#broken = false;
      this.hls.loadSource(this.#canonicalUrl);
    }
    const waiting = [...this.#waitingRequests];
    this.#waitingRequests.clear();
    for (const retry of waiting) retry();
  }

  async #refreshRanking(): Promise<void> {
    if (Date.now() - this.#askedAtMs < rankingMinIntervalMs) return;
    try {
      const playback = await this.#ask();
      // An empty answer in mid-play is worth less than the URLs at hand.
      if (playback.urls.length > 0) this.#takeRanking(playback);
    } catch (error) {
      if (!(error instanceof GatewayError)) throw error;
    }
  }

  async #ask(): Promise<Playback> {
    this.#askedAtMs = Date.now();
    return requestPlayback(this.titleId);
  }

  #takeRanking(playback: Playback): void {
    this.#playback = playback;
    if (playback.urls.length === 0 && this.#appliances.size > 0) return;
    const absolute = (url: string): string =>
      url !== "" && URL.canParse(url, document.baseURI) ? new URL(url, document.baseURI).href : "";
    this.#appliances.replace(playback.urls.map((url) => ({ ...url, hls: absolute(url.hls) })));
  }

  /** Looks whether failed appliances are back. While all are away, the rounds do that. */
  #probeFailed(): void {
    if (this.#appliances.exhausted) return;
    for (const { applianceId, hls } of this.#appliances.dueForProbe(Date.now())) {
      if (this.#probing.has(applianceId)) continue;
      this.#probing.add(applianceId);
      const signal = AbortSignal.any([this.#ended.signal, AbortSignal.timeout(probeTimeoutMs)]);
      fetch(hls, { cache: "no-store", signal })
        .then(async (response) => {
          await response.arrayBuffer();
          return response.ok;
        })
        .catch(() => false)
        .then((well) => {
          this.#probing.delete(applianceId);
          if (well) this.#appliances.markRecovered(applianceId);
          else this.#appliances.markProbeFailed(applianceId, Date.now());
        });
    }
  }

  #onHlsError(data: ErrorData, Hls: typeof HlsLibrary): void {
    if (!data.fatal) return;
    if (data.type === Hls.ErrorTypes.MEDIA_ERROR && this.#mediaRecoveries < maxMediaRecoveries) {
      this.#mediaRecoveries++;
      this.hls.recoverMediaError();
      return;
    }
    const words =
      data.type === Hls.ErrorTypes.MEDIA_ERROR
        ? `This browser cannot play the film's pictures or sound (${data.details}).`
        : `The film cannot be played (${data.details}${data.response?.code ? `, HTTP ${data.response.code}` : ""}).`;
    this.#broken = true;
    this.#state = { kind: "stopped", words };
  }
}

function refusal(playback: Playback | undefined): string {
  const reasons = (playback?.rejected ?? []).map(({ applianceId, reason }) => `${applianceId}: ${reason}`);
  return reasons.length > 0 ? `No appliance can serve this title now (${reasons.join("; ")}).` : "No appliance can serve this title now.";
}
