// Fetches a player's pieces from the first of its URLs that works.
import { type Agent as HttpAgent } from "node:http";
import { type Agent as HttpsAgent } from "node:https";
import { OperatingError } from "../../runtime/operating-error.js";
import type { ErrorCounts } from "../report/bench-result.js";
import type { MediaGetter, MediaPiece } from "./media-range.js";
import type { PlaybackClock } from "./playback-clock.js";
import { getShaped, type ShapedAnswer } from "./shaped-get.js";
import type { ShapedLink } from "./shaped-link.js";

/** Times that all URLs are tried before the player gives up. */
const roundsMax = 4;
/** Playback seconds between the first two rounds; doubles with each. */
const firstPauseSeconds = 1;
/** A playlist of a ten-hour film in two-second segments has some 1.5 MB. */
const playlistMaxBytes = 8 << 20;

export interface FailoverGetterOptions {
  /** In order of preference. */
  urls: readonly string[];
  link: ShapedLink;
  clock: PlaybackClock;
  httpAgent: HttpAgent;
  httpsAgent: HttpsAgent;
  serverTimeoutMs: number;
  signal: AbortSignal;
}

type GoodAnswer = Extract<ShapedAnswer, { ok: true }>;

/**
 * Stays with a URL until a request to it fails, whatever the failure, then goes to the next, as hls.js does with its pathways. A segment that
 * broke off is fetched again as a whole.
 */
export class FailoverGetter implements MediaGetter {
  readonly errors: ErrorCounts = {};
  failovers = 0;
  receivedBytes = 0;
  readonly #options: FailoverGetterOptions;
  #current = 0;

  constructor(options: FailoverGetterOptions) {
    this.#options = options;
  }

  async getText(references: readonly string[]): Promise<string> {
    return (await this.#get({ references, range: null }, playlistMaxBytes)).body.toString("utf8");
  }

  async getLength(references: readonly string[]): Promise<number> {
    const { fileBytes } = await this.#get({ references, range: { firstByte: 0, bytes: 1 } }, 0);
    if (fileBytes === undefined) throw new OperatingError("length-unknown", "Cannot play: the server does not say how long the file is");
    return fileBytes;
  }

  async getPiece(piece: MediaPiece): Promise<{ bytes: number; seconds: number }> {
    return this.#get(piece, 0);
  }

  async #get(piece: MediaPiece, keepMaxBytes: number): Promise<GoodAnswer> {
    const { urls, link, clock, httpAgent, httpsAgent, serverTimeoutMs, signal } = this.#options;
    let lastFailure = "";
    for (let round = 0; round < roundsMax; round++) {
      if (round > 0) await clock.sleep(firstPauseSeconds * 2 ** (round - 1), signal);
      for (let attempt = 0; attempt < urls.length; attempt++) {
        const url = resolve(urls[this.#current]!, piece.references);
        const agent = url.protocol === "https:" ? httpsAgent : httpAgent;
        const answer = await getShaped({ url, range: piece.range, link, clock, agent, serverTimeoutMs, keepMaxBytes, signal });
        this.receivedBytes += answer.bytes;
        if (answer.ok) return answer;
        signal.throwIfAborted();
        this.errors[answer.kind] = (this.errors[answer.kind] ?? 0) + 1;
        lastFailure = `${answer.kind} from ${url.host}`;
        if (urls.length > 1) {
          this.#current = (this.#current + 1) % urls.length;
          this.failovers++;
        }
      }
    }
    throw new OperatingError("player-gave-up", `Cannot play: no URL works after ${roundsMax} rounds, the last failure was ${lastFailure}`);
  }
}

function resolve(url: string, references: readonly string[]): URL {
  return references.reduce((base, reference) => new URL(reference, base), new URL(url));
}
