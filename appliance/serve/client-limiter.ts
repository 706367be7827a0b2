// What one client may take: connections, requests under way, requests a second. Counted over all serving workers, in shared memory.
//
// The table is bounded, and so it is approximate: a client is an address of IPv4 or a /64 of IPv6, found in one of the eight places of its set.
// Where all eight are in use by others it is not counted, and not refused. A place is in use while its client has requests under way, or has
// asked for something within the last two seconds.
import { randomInt } from "node:crypto";

/** Clients that are counted at once; 28 bytes each, and 4 for each worker. */
const clientPlaces = 65_536;
const placesPerSet = 8;
const sets = clientPlaces / placesPerSet;
/** A set's lock is held for less than a microsecond. A thread that dies with it must not stop the others: they go on uncounted. */
const lockTriesMax = 1000;
/** An idle client's place is given away after this. */
const idleSeconds = 2;

export interface ClientLimiterMemory {
  readonly words: SharedArrayBuffer;
  /** By worker, then by place: what the worker has counted as under way; taken back when it dies. */
  readonly own: SharedArrayBuffer;
  /** Nobody outside can choose addresses that fall into one set. */
  readonly seed: number;
}

export interface ClientLimits {
  connections: number;
  requests: number;
  requestsPerSecond: number;
}

export type LimitRefusal = "client-connections" | "client-requests" | "client-rate";

export function allocateClientLimiter(workers: number): ClientLimiterMemory {
  return {
    words: new SharedArrayBuffer((clientPlaces * wordsPerPlace + sets) * 4),
    own: new SharedArrayBuffer(workers * clientPlaces * 4),
    seed: randomInt(2 ** 32) | 0,
  };
}

const wordsPerPlace = 7;
const keyHigh = 0;
const keyLow = 1;
const connectionsAt = 2;
const underWayAt = 3;
/** The second that `requestsAt` counts, and the count of the one before. */
const secondAt = 4;
const requestsAt = 5;
const requestsBeforeAt = 6;
/** Stands before an address of IPv4: it is in no /64 that is routed. */
const ipv4Mark = 0x0000ffff;

export class ClientLimiter {
  readonly #words: Int32Array;
  readonly #locks: Int32Array;
  readonly #own: Int32Array;
  readonly #seed: number;
  readonly #limits: ClientLimits;
  readonly #nowMs: () => number;
  #high = 0;
  #low = 0;

  /** `nowMs` never goes back and is the same for all threads, such as the time since the process began. */
  constructor(memory: ClientLimiterMemory, { limits, thread, nowMs }: { limits: ClientLimits; thread: number; nowMs: () => number }) {
    this.#words = new Int32Array(memory.words, 0, clientPlaces * wordsPerPlace);
    this.#locks = new Int32Array(memory.words, clientPlaces * wordsPerPlace * 4, sets);
    this.#own = new Int32Array(memory.own, thread * clientPlaces * 4, clientPlaces);
    this.#seed = memory.seed;
    this.#limits = limits;
    this.#nowMs = nowMs;
  }

  /** Counts a request of the client at `address` (4 or 16 bytes). The answer is its place, -1 when it is not counted, or why it is refused. */
  admit(address: Uint8Array): number | LimitRefusal {
    this.#readKey(address);
    const place = this.#findPlace(Math.floor(this.#nowMs() / 1000));
    if (place < 0) return place;
    const at = place * wordsPerPlace;
    const { connections, requests, requestsPerSecond } = this.#limits;
    if (this.#countRequest(at) > requestsPerSecond) return "client-rate";
    if (Atomics.load(this.#words, at + underWayAt) >= requests) return "client-requests";
    if (Atomics.load(this.#words, at + connectionsAt) > connections) return "client-connections";
    return place;
  }

  /** A request of that place is under way, until `end`. */
  begin(place: number): void {
    if (place < 0) return;
    Atomics.add(this.#words, place * wordsPerPlace + underWayAt, 1);
    this.#own[place]!++;
  }

  end(place: number): void {
    if (place < 0) return;
    Atomics.sub(this.#words, place * wordsPerPlace + underWayAt, 1);
    this.#own[place]!--;
  }

  /** For a worker that has died: nothing that it counted is under way any more. */
  takeBack(): void {
    for (const [place, count] of this.#own.entries()) {
      if (count !== 0) Atomics.sub(this.#words, place * wordsPerPlace + underWayAt, count);
    }
    this.#own.fill(0);
  }

  /** Takes over how many connections each client has open; who is not among them has none. */
  setConnections(counts: Iterable<readonly [address: Uint8Array, connections: number]>): void {
    const seen = new Map<number, number>();
    const second = Math.floor(this.#nowMs() / 1000);
    for (const [address, connections] of counts) {
      // Only those that could come near the limit need a place.
      if (connections <= this.#limits.connections) continue;
      this.#readKey(address);
      const place = this.#findPlace(second);
      if (place >= 0) seen.set(place, (seen.get(place) ?? 0) + connections);
    }
    for (let place = 0; place < clientPlaces; place++) {
      const at = place * wordsPerPlace + connectionsAt;
      const connections = seen.get(place) ?? 0;
      if (this.#words[at] !== connections) Atomics.store(this.#words, at, connections);
    }
  }

  /** Counts one more, and estimates how many came within the last second: those of this one, and the part of the one before that is not over. */
  #countRequest(at: number): number {
    const nowMs = this.#nowMs();
    const second = Math.floor(nowMs / 1000);
    const counted = Atomics.load(this.#words, at + secondAt);
    // Whoever is first in a new second moves the counts; a request that is counted meanwhile may get lost.
    if (counted !== second && Atomics.compareExchange(this.#words, at + secondAt, counted, second) === counted) {
      const before = Atomics.exchange(this.#words, at + requestsAt, 0);
      Atomics.store(this.#words, at + requestsBeforeAt, counted === second - 1 ? before : 0);
    }
    const requests = Atomics.add(this.#words, at + requestsAt, 1) + 1;
    return requests + this.#words[at + requestsBeforeAt]! * (1 - (nowMs / 1000 - second));
  }

  #readKey(address: Uint8Array): void {
    const word = (at: number) => (address[at]! << 24) | (address[at + 1]! << 16) | (address[at + 2]! << 8) | address[at + 3]!;
    const mapped = address.length === 16 && word(0) === 0 && word(4) === 0 && word(8) === ipv4Mark;
    this.#high = address.length === 16 && !mapped ? word(0) : ipv4Mark;
    this.#low = address.length === 16 ? word(mapped ? 12 : 4) : address.length === 4 ? word(0) : 0;
  }

  #findPlace(second: number): number {
    let hash = Math.imul(this.#high ^ this.#seed, 0x85ebca6b) ^ this.#low;
    hash = Math.imul(hash ^ (hash >>> 15), 0xc2b2ae35);
    hash = Math.imul(hash ^ (hash >>> 13) ^ this.#seed, 0x9e3779b1);
    const set = (hash ^ (hash >>> 16)) & (sets - 1);
    const first = set * placesPerSet;
    const there = this.#lookUp(first);
    if (there >= 0) return there;
    for (let tries = 0; Atomics.compareExchange(this.#locks, set, 0, 1) !== 0; tries++) if (tries >= lockTriesMax) return -1;
    const place = this.#claim(first, second);
    Atomics.store(this.#locks, set, 0);
    return place;
  }

  #lookUp(first: number): number {
    for (let place = first; place < first + placesPerSet; place++) {
      const at = place * wordsPerPlace;
      if (this.#words[at + keyLow] === this.#low && this.#words[at + keyHigh] === this.#high) return place;
    }
    return -1;
  }

  /** With the set's lock. */
  #claim(first: number, second: number): number {
    const there = this.#lookUp(first);
    if (there >= 0) return there;
    for (let place = first; place < first + placesPerSet; place++) {
      const at = place * wordsPerPlace;
      const isNew = this.#words[at + keyHigh] === 0 && this.#words[at + keyLow] === 0;
      const isIdle =
        Atomics.load(this.#words, at + underWayAt) === 0 &&
        this.#words[at + connectionsAt] === 0 &&
        second - this.#words[at + secondAt]! > idleSeconds;
      if (!isNew && !isIdle) continue;
      this.#words[at + requestsAt] = 0;
      this.#words[at + requestsBeforeAt] = 0;
      this.#words[at + secondAt] = second;
      this.#words[at + keyHigh] = this.#high;
      Atomics.store(this.#words, at + keyLow, this.#low);
      return place;
    }
    return -1;
  }
}
