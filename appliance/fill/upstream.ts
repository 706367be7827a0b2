// Where an appliance gets what it does not hold: the role that every kind of upstream plays.
import type { ObjectDigests } from "../../fill-protocol/generated/millrace/object/v1/object_digests.js";

/** An upstream as the settings name it. */
export interface UpstreamSettings {
  url: string;
  /** For s3: the server, when it is not Amazon's. */
  endpoint?: string | undefined;
  /** For s3. */
  region?: string | undefined;
}

/** An object as an upstream describes it. */
export interface UpstreamObject {
  sizeBytes: number;
  /** With quotes; "" when the upstream has none. */
  etag: string;
  lastModifiedUnixMs: number;
  /** Present when the upstream published digests that are whole and of this object. */
  digests?: ObjectDigests;
}

/** Why an upstream could not do what it was asked, for logs, metrics and the choice of the next one. */
export const upstreamFailures = [
  "unreachable",
  "timeout",
  "bad-status",
  "bad-answer",
  "version-changed",
  "wrong-bytes",
  /** It has too much to do: ask it later. */
  "busy",
  /** It is an appliance that would ask us in the end. */
  "loop",
  /** We have let go of it. */
  "cancelled",
] as const;
export type UpstreamFailure = {
  failure: (typeof upstreamFailures)[number];
  detail: string;
  /** With "busy", when it said so. */
  retryAfterMs?: number;
};

export interface UpstreamRequest {
  path: string;
  /** Ids of the appliances that the request has come through, this one last. */
  via: readonly string[];
}

export interface UpstreamRange extends UpstreamRequest {
  /** The version that the bytes must be of: what `describe` of some upstream said. */
  sizeBytes: number;
  etag: string;
  lastModifiedUnixMs: number;
  /** The bytes will be checked against digests; another tag is then no reason to refuse them. */
  digested: boolean;
  offsetBytes: number;
  /** Filled from the start; its length is the range's. Nothing is written to it any more once the promise has settled. */
  into: Uint8Array;
  /** Told after each part how many bytes of `into` are filled, from the start. */
  onBytes?: (count: number) => void;
  /** Ends the fetch: from then on nothing is written to `into`, even before the promise settles. */
  signal?: AbortSignal;
}

/** What kind of server it is: another appliance says no when it is busy, and its entity tags are the origin's. */
export type UpstreamKind = "origin" | "appliance";

export interface Upstream {
  /** For logs and messages: its URL. */
  readonly name: string;
  readonly kind: UpstreamKind;
  /** The id of the appliance that it is, when that is known. */
  readonly applianceId?: string | undefined;
  /** Finds out `applianceId`, when that can be done; never fails. */
  identify?(): Promise<void>;
  describe(request: UpstreamRequest): Promise<UpstreamObject | "not-found" | UpstreamFailure>;
  /** Resolves to undefined when `into` holds the range, to why not otherwise; `into` is then garbage. */
  fetch(range: UpstreamRange): Promise<UpstreamFailure | "not-found" | undefined>;
  close(): Promise<void>;
}
