// The last ranked list of each title and network, for when playback can't be asked: bounded in number and age.
import { createHash } from "node:crypto";
import { LRUCache } from "lru-cache";
import type { Clock } from "../../runtime/clock.js";
import { clientPrefixOf } from "../playback/url-signer.js";
import type { playbackJson } from "./api-answers.js";

/** Lists that are kept: some 2 KB each. */
const listsKeptMax = 10_000;

type Playback = ReturnType<typeof playbackJson>;

/** Who asks for what. */
export interface PlaybackAsked {
  titleId: string;
  clientAddress: string;
  /** Billing and tokens go by the account: a list is only for whom it was made. */
  authorization: string;
  /** What the device says it can play, as JSON. */
  device: string;
}

export class KeptPlaybacks {
  readonly #clock: Pick<Clock, "monotonicMs">;
  readonly #maxAgeMs: number;
  readonly #kept = new LRUCache<string, { playback: Playback; atMs: number }>({ max: listsKeptMax });

  constructor({ clock, maxAgeMs }: { clock: Pick<Clock, "monotonicMs">; maxAgeMs: number }) {
    this.#clock = clock;
    this.#maxAgeMs = maxAgeMs;
  }

  keep(asked: PlaybackAsked, playback: Playback): void {
    this.#kept.set(keyOf(asked), { playback, atMs: this.#clock.monotonicMs() });
  }

  /** The service has said no: what it said before is no longer true. */
  forget(asked: PlaybackAsked): void {
    this.#kept.delete(keyOf(asked));
  }

  /** The list without its stream: that was another's slot, or is one that nobody has kept. */
  find(asked: PlaybackAsked): Omit<Playback, "stream"> | undefined {
    const found = this.#kept.get(keyOf(asked));
    if (!found || this.#clock.monotonicMs() - found.atMs > this.#maxAgeMs) return undefined;
    const { stream: _stream, ...playback } = found.playback;
    return playback;
  }
}

/** The network is that which steering and bound tokens go by; of the access token only a digest is kept. */
function keyOf({ titleId, clientAddress, authorization, device }: PlaybackAsked): string {
  const account = createHash("sha256").update(authorization).digest("base64");
  return JSON.stringify([titleId, clientPrefixOf(clientAddress) ?? clientAddress, account, device]);
}
