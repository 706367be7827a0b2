// The Range header of a request, for one object (RFC 9110 14.2).

/** The first and the last byte of a part, both included. */
export interface ByteRange {
  first: number;
  last: number;
}

const zero = 48;
const nine = 57;

/**
 * What part of an object of `sizeBytes` the header asks for. "whole" when it is to be ignored: none, another unit, or several
 * parts (RFC 9110 14.2 allows a server to answer them whole). "unsatisfiable" when no byte of the object is in it, and when a
 * range in bytes is malformed, as nginx has it.
 */
export function parseByteRange(header: string, sizeBytes: number): ByteRange | "whole" | "unsatisfiable" {
  if (header === "" || header.slice(0, 6).toLowerCase() !== "bytes=") return "whole";
  if (header.includes(",")) return "whole";
  const dash = header.indexOf("-", 6);
  if (dash < 0) return "unsatisfiable";
  const first = parseDigits(header, 6, dash);
  const last = parseDigits(header, dash + 1, header.length);
  if (first === "malformed" || last === "malformed") return "unsatisfiable";
  if (first === "none") {
    if (last === "none" || last === 0 || sizeBytes === 0) return "unsatisfiable";
    return { first: Math.max(0, sizeBytes - last), last: sizeBytes - 1 };
  }
  if (first >= sizeBytes) return "unsatisfiable";
  if (last === "none") return { first, last: sizeBytes - 1 };
  if (last < first) return "unsatisfiable";
  return { first, last: Math.min(last, sizeBytes - 1) };
}

/** The number in `text` from `start` to `end`; too many digits make it larger than any object, never wrong. */
function parseDigits(text: string, start: number, end: number): number | "none" | "malformed" {
  if (start === end) return "none";
  let value = 0;
  for (let at = start; at < end; at++) {
    const code = text.charCodeAt(at);
    if (code < zero || code > nine) return "malformed";
    value = value * 10 + (code - zero);
  }
  return value;
}
