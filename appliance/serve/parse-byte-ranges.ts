// A Range header with several parts (RFC 9110 14.2), made into parts that do not touch.
import { parseByteRange, type ByteRange } from "./parse-byte-range.js";

/** A header with more parts than this is answered whole: each part costs a head of about 150 bytes, however small it is. */
export const byteRangePartsMax = 32;

/**
 * The parts of an object of `sizeBytes` that the header asks for, in the order of the request. Parts that overlap or touch become one, in
 * the place of the first of them (RFC 9110 15.3.7.2), and parts beyond the object are left out. "whole" and "unsatisfiable" are as in
 * `parseByteRange`, and "whole" also where there are more than `byteRangePartsMax` parts.
 */
export function parseByteRanges(header: string, sizeBytes: number): ByteRange[] | "whole" | "unsatisfiable" {
  if (header.slice(0, 6).toLowerCase() !== "bytes=") return "whole";
  const ranges: ByteRange[] = [];
  let specs = 0;
  for (let start = 6; start <= header.length;) {
    let end = header.indexOf(",", start);
    if (end < 0) end = header.length;
    const spec = trimWhitespace(header, start, end);
    start = end + 1;
    // RFC 9110 5.6.1.2: empty elements of a list are ignored, but a list must not be made of them.
    if (spec === "") continue;
    if (++specs > byteRangePartsMax) return "whole";
    const range = parseByteRange(`bytes=${spec}`, sizeBytes);
    if (range === "unsatisfiable") {
      if (!isByteRangeSpec(spec)) return "unsatisfiable";
    } else if (range !== "whole") ranges.push(range);
  }
  return ranges.length === 0 ? "unsatisfiable" : coalesce(ranges);
}

function coalesce(ranges: readonly ByteRange[]): ByteRange[] {
  const parts: ByteRange[] = [];
  for (const range of ranges) {
    let { first, last } = range;
    let place = parts.length;
    for (let at = parts.length - 1; at >= 0; at--) {
      const part = parts[at]!;
      if (part.first > last + 1 || first > part.last + 1) continue;
      first = Math.min(first, part.first);
      last = Math.max(last, part.last);
      parts.splice(at, 1);
      place = Math.min(place, at);
      // What has grown may touch a part that was looked at before.
      at = parts.length;
    }
    parts.splice(place, 0, { first, last });
  }
  return parts;
}

/** A well-formed spec that no byte satisfies is left out; one that is none spoils the header. */
function isByteRangeSpec(spec: string): boolean {
  const match = /^(\d*)-(\d*)$/.exec(spec);
  if (!match || (match[1] === "" && match[2] === "")) return false;
  return match[1] === "" || match[2] === "" || Number(match[1]) <= Number(match[2]);
}

/** Linear, whatever the header: a pattern with a lazy middle would not be. */
function trimWhitespace(text: string, start: number, end: number): string {
  while (start < end && isBlank(text.charCodeAt(start))) start++;
  while (end > start && isBlank(text.charCodeAt(end - 1))) end--;
  return text.slice(start, end);
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09;
}
