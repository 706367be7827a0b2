// A trace in memory as typed arrays, its objects numbered from 0 in the order of their first request.
import { OperatingError } from "../../runtime/operating-error.js";
import type { TraceRequest } from "./trace-request.js";

export interface LoadedTrace {
  /** For each request, the number of its object. */
  objects: Uint32Array;
  /** For each object, its size at its first request. */
  objectBytes: Float64Array;
  /** Of all objects together: what a cache of this size would hold without ever evicting. */
  footprintBytes: number;
  /** Of all requests together. */
  requestedBytes: number;
  /** From the earliest to the latest request. */
  spanSeconds: number;
  /** Requests of size 0, which are left out (as libCacheSim does). */
  emptyRequests: number;
  /** Requests whose size was not that of their object's first request; the first is taken. */
  resizedRequests: number;
}

export interface LoadTraceOptions {
  /** Stop after so many requests. A request takes 4 bytes; 20 more while the offline figures are computed. */
  requestsMax?: number;
  /** Called now and then with the requests so far. */
  onProgress?: (requests: number) => void;
}

/** Keeps a mistyped file from eating the machine: 2^28 requests are 6 GiB with everything computed from them. */
export const loadRequestsMax = 2 ** 28;

/** Collects requests that come one by one into a LoadedTrace. */
class TraceBuilder {
  #objects = new Uint32Array(1 << 16);
  #requests = 0;
  readonly #numbers = new Map<string, number>();
  readonly #objectBytes: number[] = [];
  #footprintBytes = 0;
  #requestedBytes = 0;
  #earliestSeconds = Infinity;
  #latestSeconds = -Infinity;
  #emptyRequests = 0;
  #resizedRequests = 0;

  get requests(): number {
    return this.#requests;
  }

  add({ timeSeconds, objectId, sizeBytes }: TraceRequest): void {
    if (sizeBytes === 0) {
      this.#emptyRequests++;
      return;
    }
    let object = this.#numbers.get(objectId);
    if (object === undefined) {
      object = this.#objectBytes.length;
      this.#numbers.set(objectId, object);
      this.#objectBytes.push(sizeBytes);
      this.#footprintBytes += sizeBytes;
    } else if (this.#objectBytes[object] !== sizeBytes) this.#resizedRequests++;
    if (this.#requests === this.#objects.length) {
      const wider = new Uint32Array(this.#objects.length * 2);
      wider.set(this.#objects);
      this.#objects = wider;
    }
    this.#objects[this.#requests++] = object;
    this.#requestedBytes += this.#objectBytes[object]!;
    if (timeSeconds < this.#earliestSeconds) this.#earliestSeconds = timeSeconds;
    if (timeSeconds > this.#latestSeconds) this.#latestSeconds = timeSeconds;
  }

  build(): LoadedTrace {
    return {
      objects: this.#objects.slice(0, this.#requests),
      objectBytes: Float64Array.from(this.#objectBytes),
      footprintBytes: this.#footprintBytes,
      requestedBytes: this.#requestedBytes,
      spanSeconds: this.#requests === 0 ? 0 : this.#latestSeconds - this.#earliestSeconds,
      emptyRequests: this.#emptyRequests,
      resizedRequests: this.#resizedRequests,
    };
  }
}

/** Throws OperatingError "trace-empty" when there is no request to simulate. */
export async function loadTrace(batches: AsyncIterable<TraceRequest[]>, options: LoadTraceOptions = {}): Promise<LoadedTrace> {
  const { requestsMax = loadRequestsMax, onProgress } = options;
  const builder = new TraceBuilder();
  for await (const batch of batches) {
    for (const request of batch) {
      if (builder.requests === requestsMax) return builder.build();
      builder.add(request);
    }
    onProgress?.(builder.requests);
  }
  if (builder.requests === 0) throw new OperatingError("trace-empty", "Cannot simulate: the trace has no request of one byte or more");
  return builder.build();
}
