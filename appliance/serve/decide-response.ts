// What a request for a known object is answered with: the status, and which of its bytes.
import type { ObjectRecord } from "../object.js";
import { evaluatePreconditions, ifRangeHolds, type ConditionalHeaders } from "./evaluate-preconditions.js";
import { parseByteRange, type ByteRange } from "./parse-byte-range.js";
import { parseByteRanges } from "./parse-byte-ranges.js";

export interface RequestHeaders extends ConditionalHeaders {
  range: string;
}

/** `first` and `last` are the bytes of the body, both included; an empty object is answered with last = -1. */
export interface BodyDecision {
  status: 200 | 206;
  first: number;
  last: number;
}

/** Two or more parts that do not touch, in the order in which they are sent. */
export interface PartsDecision {
  status: 206;
  parts: readonly ByteRange[];
}

export type ResponseDecision = BodyDecision | PartsDecision | { status: 304 | 412 | 416 };

/** RFC 9110 13.2.2 and 14.2. A Range counts for GET only; HEAD is answered as if there were none. */
export function decideResponse(method: "GET" | "HEAD", headers: RequestHeaders, object: ObjectRecord): ResponseDecision {
  const verdict = evaluatePreconditions(headers, object);
  if (verdict !== "perform") return { status: verdict };
  if (headers.range === "" || method !== "GET" || !ifRangeHolds(headers.ifRange, object)) return whole(object);
  if (!headers.range.includes(",")) return partOf(parseByteRange(headers.range, object.sizeBytes), object);
  const ranges = parseByteRanges(headers.range, object.sizeBytes);
  if (typeof ranges === "string") return partOf(ranges, object);
  // RFC 9110 15.3.7.2: what has become one part is sent as one.
  return ranges.length === 1 ? partOf(ranges[0]!, object) : { status: 206, parts: ranges };
}

function whole(object: ObjectRecord): BodyDecision {
  return { status: 200, first: 0, last: object.sizeBytes - 1 };
}

function partOf(range: ByteRange | "whole" | "unsatisfiable", object: ObjectRecord): ResponseDecision {
  if (range === "whole") return whole(object);
  if (range === "unsatisfiable") return { status: 416 };
  return { status: 206, first: range.first, last: range.last };
}
