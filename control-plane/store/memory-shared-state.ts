// The shared state of the only copy: in its memory.
import { EventEmitter } from "node:events";
import { LRUCache } from "lru-cache";
import type { Clock } from "../../runtime/clock.js";
import type { RateLimitOptions, RateLimitVerdict, SharedState } from "./shared-state.js";

/** Keys, counters and limits of each kind; the least used goes first. 100,000 addresses that try to sign in at once are 20 MB. */
const entriesMax = 100_000;

interface Kept {
  value: string;
  endsAtMs: number;
}

interface Counted {
  count: number;
  endsAtMs: number;
}

export class MemorySharedState implements SharedState {
  readonly #clock: Clock;
  readonly #kept = new LRUCache<string, Kept>({ max: entriesMax });
  readonly #counted = new LRUCache<string, Counted>({ max: entriesMax });
  readonly #groups = new Map<string, Map<string, Kept>>();
  readonly #listeners = new EventEmitter().setMaxListeners(0);

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get(key: string): Promise<string | undefined> {
    return Promise.resolve(this.#find(key)?.value);
  }

  put(key: string, value: string, ttlMs: number): Promise<void> {
    this.#kept.set(key, { value, endsAtMs: this.#clock.monotonicMs() + ttlMs });
    return Promise.resolve();
  }

  async putIfAbsent(key: string, value: string, ttlMs: number): Promise<boolean> {
    if (this.#find(key)) return false;
    await this.put(key, value, ttlMs);
    return true;
  }

  remove(key: string): Promise<boolean> {
    const wasThere = this.#find(key) !== undefined;
    this.#kept.delete(key);
    return Promise.resolve(wasThere);
  }

  count(key: string, ttlMs: number, by = 1): Promise<number> {
    return Promise.resolve(this.#count(`count ${key}`, ttlMs, by).count);
  }

  use(key: string, { usesMax, windowMs }: RateLimitOptions): Promise<RateLimitVerdict> {
    const { count, endsAtMs } = this.#count(`use ${key}`, windowMs, 1);
    const allowed = count <= usesMax;
    return Promise.resolve({ allowed, retryAfterMs: allowed ? 0 : Math.ceil(endsAtMs - this.#clock.monotonicMs()) });
  }

  resetUses(key: string): Promise<void> {
    this.#counted.delete(`use ${key}`);
    return Promise.resolve();
  }

  putMember(group: string, member: string, value: string, ttlMs: number): Promise<void> {
    let members = this.#groups.get(group);
    if (!members) this.#groups.set(group, (members = new Map()));
    members.set(member, { value, endsAtMs: this.#clock.monotonicMs() + ttlMs });
    return Promise.resolve();
  }

  removeMember(group: string, member: string): Promise<void> {
    this.#groups.get(group)?.delete(member);
    return Promise.resolve();
  }

  members(group: string): Promise<Map<string, string>> {
    const members = this.#groups.get(group) ?? new Map<string, Kept>();
    const nowMs = this.#clock.monotonicMs();
    for (const [member, { endsAtMs }] of members) if (endsAtMs <= nowMs) members.delete(member);
    return Promise.resolve(new Map([...members].map(([member, { value }]) => [member, value])));
  }

  publish(channel: string, message: string): Promise<void> {
    this.#listeners.emit(`on ${channel}`, message);
    return Promise.resolve();
  }

  subscribe(channel: string, listener: (message: string) => void): Promise<() => void> {
    this.#listeners.on(`on ${channel}`, listener);
    return Promise.resolve(() => void this.#listeners.off(`on ${channel}`, listener));
  }

  isAvailable(): boolean {
    return true;
  }

  close(): Promise<void> {
    this.#listeners.removeAllListeners();
    return Promise.resolve();
  }

  #find(key: string): Kept | undefined {
    const kept = this.#kept.get(key);
    return kept && kept.endsAtMs > this.#clock.monotonicMs() ? kept : undefined;
  }

  #count(key: string, ttlMs: number, by: number): Counted {
    const nowMs = this.#clock.monotonicMs();
    let counted = this.#counted.get(key);
    if (!counted || counted.endsAtMs <= nowMs) this.#counted.set(key, (counted = { count: 0, endsAtMs: nowMs + ttlMs }));
    counted.count += by;
    return counted;
  }
}
