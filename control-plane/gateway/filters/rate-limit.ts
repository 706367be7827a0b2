// The filter before: how often one client address, and one access token, may ask.
import { createHash } from "node:crypto";
import ipaddr from "ipaddr.js";
import { LRUCache } from "lru-cache";
import type { Clock } from "../../../runtime/clock.js";
import { OperatingError } from "../../../runtime/operating-error.js";

/** Addresses, and tokens, that are remembered; who is forgotten starts anew. */
const bucketsMax = 100_000;
/** What one household has in IPv6. */
const ipv6HouseholdBits = 64;

export interface Rate {
  perSecond: number;
  /** So many at once after a quiet time. */
  burst: number;
}

export interface RateLimitOptions {
  perAddress: Rate;
  perToken: Rate;
  clock: Pick<Clock, "monotonicMs">;
  onRefusal: (limit: "address" | "token") => void;
}

export class RateLimit {
  readonly #addresses: TokenBuckets;
  readonly #tokens: TokenBuckets;
  readonly #onRefusal: RateLimitOptions["onRefusal"];

  constructor({ perAddress, perToken, clock, onRefusal }: RateLimitOptions) {
    this.#addresses = new TokenBuckets(perAddress, clock);
    this.#tokens = new TokenBuckets(perToken, clock);
    this.#onRefusal = onRefusal;
  }

  /** The error "rate-limited", or undefined when the request may go on. */
  refuse({ clientAddress, authorization }: { clientAddress: string; authorization: string }): OperatingError | undefined {
    let [limit, waitMs]: ["address" | "token", number] = ["address", this.#addresses.take(householdOf(clientAddress))];
    if (waitMs === 0 && authorization !== "") {
      // By the token, not by the account that it names: it is not verified here, and a forged one must not use up another's.
      [limit, waitMs] = ["token", this.#tokens.take(createHash("sha256").update(authorization).digest("base64"))];
    }
    if (waitMs === 0) return undefined;
    this.#onRefusal(limit);
    const retryAfterMs = Math.ceil(waitMs);
    return new OperatingError("rate-limited", `Cannot answer: too many requests from this ${limit}: wait for ${retryAfterMs} ms`, {
      retryable: true,
      retryAfterMs,
    });
  }
}

class TokenBuckets {
  readonly #rate: Rate;
  readonly #clock: Pick<Clock, "monotonicMs">;
  readonly #buckets = new LRUCache<string, { left: number; atMs: number }>({ max: bucketsMax });

  constructor(rate: Rate, clock: Pick<Clock, "monotonicMs">) {
    this.#rate = rate;
    this.#clock = clock;
  }

  /** 0 when one was there to take, else the milliseconds until one is. */
  take(key: string): number {
    const { perSecond, burst } = this.#rate;
    const nowMs = this.#clock.monotonicMs();
    const bucket = this.#buckets.get(key) ?? { left: burst, atMs: nowMs };
    bucket.left = Math.min(burst, bucket.left + ((nowMs - bucket.atMs) / 1000) * perSecond);
    bucket.atMs = nowMs;
    this.#buckets.set(key, bucket);
    if (bucket.left < 1) return ((1 - bucket.left) / perSecond) * 1000;
    bucket.left--;
    return 0;
  }
}

function householdOf(clientAddress: string): string {
  if (!ipaddr.isValid(clientAddress)) return clientAddress;
  const address = ipaddr.process(clientAddress);
  if (address.kind() === "ipv4") return address.toString();
  return ipaddr.IPv6.networkAddressFromCIDR(`${address}/${ipv6HouseholdBits}`).toString();
}
