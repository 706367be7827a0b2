// The shared state of several copies: in Redis or Valkey.
import { Redis, type Result } from "ioredis";
import { systemClock } from "../../runtime/clock.js";
import { messageOf, OperatingError } from "../../runtime/operating-error.js";
import { MemorySharedState } from "./memory-shared-state.js";
import { redactedUrl } from "./redacted-url.js";
import type { RateLimitOptions, RateLimitVerdict, SharedState } from "./shared-state.js";

/** Before every key and channel, so that the server may be used for other things too. */
const keyPrefix = "millrace:";
/** A command that takes longer is given up: whatever needs the answer has its own way without. */
const commandMaxMs = 500;
const connectMaxMs = 2000;
const reconnectFirstMs = 50;
const reconnectMaxMs = 1000;

// One round trip, and no counter without an end when a copy dies between two commands. The server's clock runs both.
const countScript = `
local count = redis.call("INCRBY", KEYS[1], ARGV[1])
local leftMs = redis.call("PTTL", KEYS[1])
if leftMs < 0 then
  redis.call("PEXPIRE", KEYS[1], ARGV[2])
  leftMs = tonumber(ARGV[2])
end
return { count, leftMs }`;

// A group is a hash of values and a sorted set of their ends.
const putMemberScript = `
local time = redis.call("TIME")
local nowMs = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call("HSET", KEYS[1], ARGV[1], ARGV[2])
redis.call("ZADD", KEYS[2], nowMs + ARGV[3], ARGV[1])
return 1`;

const membersScript = `
local time = redis.call("TIME")
local nowMs = time[1] * 1000 + math.floor(time[2] / 1000)
for _, member in ipairs(redis.call("ZRANGEBYSCORE", KEYS[2], "-inf", nowMs, "LIMIT", 0, 1000)) do
  redis.call("HDEL", KEYS[1], member)
  redis.call("ZREM", KEYS[2], member)
end
return redis.call("HGETALL", KEYS[1])`;

declare module "ioredis" {
  interface RedisCommander<Context> {
    millraceCount(key: string, by: string, ttlMs: string): Result<[number, number], Context>;
    millracePutMember(values: string, ends: string, member: string, value: string, ttlMs: string): Result<number, Context>;
    millraceMembers(values: string, ends: string): Result<string[], Context>;
  }
}

/** @throws OperatingError "shared-state-unavailable" when it can't be reached now. */
export async function openRedisSharedState(url: string): Promise<RedisSharedState> {
  const options = {
    lazyConnect: true,
    connectTimeout: connectMaxMs,
    commandTimeout: commandMaxMs,
    // Without a connection, commands fail at once: each caller knows what to do then.
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    retryStrategy: (tries: number) => Math.min(reconnectMaxMs, reconnectFirstMs * 2 ** Math.min(tries, 10)),
  };
  const commands = new Redis(url, options);
  const listening = new Redis(url, { ...options, commandTimeout: connectMaxMs });
  let trouble = "";
  for (const redis of [commands, listening]) redis.on("error", (error: Error) => (trouble = error.message));
  try {
    await Promise.all([commands.connect(), listening.connect()]);
  } catch (error) {
    commands.disconnect();
    listening.disconnect();
    throw new OperatingError("shared-state-unavailable", `Cannot connect to ${redactedUrl(url)}: ${trouble || messageOf(error)}`, {
      source: redactedUrl(url),
      retryable: true,
      cause: error,
    });
  }
  return new RedisSharedState({ commands, listening, source: redactedUrl(url) });
}

export class RedisSharedState implements SharedState {
  readonly #commands: Redis;
  readonly #listening: Redis;
  readonly #source: string;
  /** Counts uses while Redis is away. */
  readonly #ownLimits = new MemorySharedState(systemClock);
  readonly #listeners = new Map<string, Set<(message: string) => void>>();

  constructor({ commands, listening, source }: { commands: Redis; listening: Redis; source: string }) {
    commands.defineCommand("millraceCount", { numberOfKeys: 1, lua: countScript });
    commands.defineCommand("millracePutMember", { numberOfKeys: 2, lua: putMemberScript });
    commands.defineCommand("millraceMembers", { numberOfKeys: 2, lua: membersScript });
    this.#commands = commands;
    this.#listening = listening;
    this.#source = source;
    listening.on("message", (channel: string, message: string) => {
      for (const listener of this.#listeners.get(channel) ?? []) listener(message);
    });
  }

  async get(key: string): Promise<string | undefined> {
    return (await this.#ask((redis) => redis.get(keyPrefix + key))) ?? undefined;
  }

  async put(key: string, value: string, ttlMs: number): Promise<void> {
    await this.#ask((redis) => redis.set(keyPrefix + key, value, "PX", wholeMs(ttlMs)));
  }

  async putIfAbsent(key: string, value: string, ttlMs: number): Promise<boolean> {
    return (await this.#ask((redis) => redis.set(keyPrefix + key, value, "PX", wholeMs(ttlMs), "NX"))) === "OK";
  }

  async remove(key: string): Promise<boolean> {
    return (await this.#ask((redis) => redis.del(keyPrefix + key))) === 1;
  }

  async count(key: string, ttlMs: number, by = 1): Promise<number> {
    return (await this.#count(`count:${key}`, ttlMs, by)).count;
  }

  async use(key: string, limit: RateLimitOptions): Promise<RateLimitVerdict> {
    let used: { count: number; leftMs: number };
    try {
      used = await this.#count(`use:${key}`, limit.windowMs, 1);
    } catch {
      return await this.#ownLimits.use(key, limit);
    }
    const allowed = used.count <= limit.usesMax;
    return { allowed, retryAfterMs: allowed ? 0 : used.leftMs };
  }

  async resetUses(key: string): Promise<void> {
    await this.#ownLimits.resetUses(key);
    await this.remove(`use:${key}`);
  }

  async putMember(group: string, member: string, value: string, ttlMs: number): Promise<void> {
    const [values, ends] = groupKeys(group);
    await this.#ask((redis) => redis.millracePutMember(values, ends, member, value, String(wholeMs(ttlMs))));
  }

  async removeMember(group: string, member: string): Promise<void> {
    const [values, ends] = groupKeys(group);
    await this.#ask((redis) => redis.multi().hdel(values, member).zrem(ends, member).exec());
  }

  async members(group: string): Promise<Map<string, string>> {
    const [values, ends] = groupKeys(group);
    const flat = await this.#ask((redis) => redis.millraceMembers(values, ends));
    const members = new Map<string, string>();
    for (let at = 0; at + 1 < flat.length; at += 2) members.set(flat[at]!, flat[at + 1]!);
    return members;
  }

  async publish(channel: string, message: string): Promise<void> {
    await this.#ask((redis) => redis.publish(keyPrefix + channel, message));
  }

  async subscribe(channel: string, listener: (message: string) => void): Promise<() => void> {
    const name = keyPrefix + channel;
    let listeners = this.#listeners.get(name);
    if (!listeners) this.#listeners.set(name, (listeners = new Set()));
    listeners.add(listener);
    // ioredis subscribes again by itself after each outage.
    if (listeners.size === 1) await this.#ask(() => this.#listening.subscribe(name));
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0 && this.isAvailable()) this.#listening.unsubscribe(name).catch(() => {});
    };
  }

  isAvailable(): boolean {
    return this.#commands.status === "ready";
  }

  close(): Promise<void> {
    this.#commands.disconnect();
    this.#listening.disconnect();
    return Promise.resolve();
  }

  async #count(key: string, ttlMs: number, by: number): Promise<{ count: number; leftMs: number }> {
    const [count, leftMs] = await this.#ask((redis) => redis.millraceCount(keyPrefix + key, String(by), String(wholeMs(ttlMs))));
    return { count, leftMs };
  }

  async #ask<Answer>(command: (redis: Redis) => Promise<Answer>): Promise<Answer> {
    try {
      return await command(this.#commands);
    } catch (error) {
      throw new OperatingError("shared-state-unavailable", `Cannot use ${this.#source}: ${messageOf(error)}`, {
        source: this.#source,
        retryable: true,
        cause: error,
      });
    }
  }
}

/** In braces, so that a cluster keeps both on one server. */
function groupKeys(group: string): [values: string, ends: string] {
  return [`${keyPrefix}{group:${group}}:values`, `${keyPrefix}{group:${group}}:ends`];
}

function wholeMs(ms: number): number {
  return Math.max(1, Math.ceil(ms));
}
