// What a request for a known object is answered with: the status, and which of its bytes.
import type { ObjectRecord } from "../object.js";
import { evaluatePreconditions, ifRangeHolds, type ConditionalHeaders } from "./evaluate-preconditions.js";
import { parseByteRange } from "./parse-byte-range.js";

export interface RequestHeaders extends ConditionalHeaders {
  range: string;
}

/** `first` and `last` are the bytes of the body, both included; an empty object is answered with last = -1. */
export interface BodyDecision {
  status: 200 | 206;
  first: number;
  last: number;
}

export type ResponseDecision = BodyDecision | { status: 304 | 412 | 416 };

/** RFC 9110 13.2.2 and 14.2. A Range counts for GET only; HEAD is answered as if there were none. */
export function decideResponse(method: "GET" | "HEAD", headers: RequestHeaders, object: ObjectRecord): ResponseDecision {
  const verdict = evaluatePreconditions(headers, object);
  if (verdict !== "perform") return { status: verdict };
  const whole = { status: 200, first: 0, last: object.sizeBytes - 1 } as const;
  if (headers.range === "" || method !== "GET" || !ifRangeHolds(headers.ifRange, object)) return whole;
  const range = parseByteRange(headers.range, object.sizeBytes);
  if (range === "whole") return whole;
  if (range === "unsatisfiable") return { status: 416 };
  return { status: 206, first: range.first, last: range.last };
}
