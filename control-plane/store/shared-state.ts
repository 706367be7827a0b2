// What copies of the control plane tell each other: short-lived keys, counters, members and messages. Nothing in it is the
// only record of anything: it may be lost at any time, and what must not be is in the database.

export interface RateLimitOptions {
  /** Uses within the window. */
  usesMax: number;
  windowMs: number;
}

export interface RateLimitVerdict {
  allowed: boolean;
  /** 0 when allowed. */
  retryAfterMs: number;
}

/** One implementation for one copy (in its memory), one for many (Redis or Valkey). Every method may reject with "shared-state-unavailable". */
export interface SharedState {
  get(key: string): Promise<string | undefined>;
  put(key: string, value: string, ttlMs: number): Promise<void>;
  /** Whether it was put: false when the key is there. The way to elect one copy for a task. */
  putIfAbsent(key: string, value: string, ttlMs: number): Promise<boolean>;
  /** Whether it was there. */
  remove(key: string): Promise<boolean>;
  /** Adds to a counter that begins at 0 and vanishes `ttlMs` after its first count; the new count. */
  count(key: string, ttlMs: number, by?: number): Promise<number>;
  /**
   * Counts one use of `key`, in windows that begin with the first use. Does not reject: while the shared state is away, each copy counts by
   * itself, so that a limit is at worst multiplied by the number of copies.
   */
  use(key: string, limit: RateLimitOptions): Promise<RateLimitVerdict>;
  /** Forgets the uses of `key`. */
  resetUses(key: string): Promise<void>;
  /** Puts a member with its value into a group until `ttlMs` have passed: how a heartbeat is told to all copies. */
  putMember(group: string, member: string, value: string, ttlMs: number): Promise<void>;
  removeMember(group: string, member: string): Promise<void>;
  /** Member → value, of those whose time is not over. */
  members(group: string): Promise<Map<string, string>>;
  /** Tells all copies that listen now, this one too. */
  publish(channel: string, message: string): Promise<void>;
  /** Calls `listener` with every message from now on; after an outage messages are missed, so use them to be early, not to be right. */
  subscribe(channel: string, listener: (message: string) => void): Promise<() => void>;
  /** Whether it can be reached now. */
  isAvailable(): boolean;
  close(): Promise<void>;
}
