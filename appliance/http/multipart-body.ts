// The body of an answer with several parts: multipart/byteranges (RFC 9110 14.6).
import { randomBytes } from "node:crypto";
import type { ByteRange } from "../serve/parse-byte-range.js";
import type { BodyPart } from "./body-sender.js";

/** Between parts, and in no film: 128 random bits of this thread. */
export const multipartBoundary = randomBytes(16).toString("hex");

const closing = Buffer.from(`\r\n--${multipartBoundary}--\r\n`, "latin1");

/** The parts with their heads, the closing line as a part without bytes, and the length of it all. */
export function multipartBodyOf(
  ranges: readonly ByteRange[],
  { contentType, sizeBytes }: { contentType: string; sizeBytes: number },
): { parts: BodyPart[]; totalBytes: number } {
  const parts: BodyPart[] = [];
  let totalBytes = closing.length;
  for (const [place, { first, last }] of ranges.entries()) {
    const head = `--${multipartBoundary}\r\nContent-Type: ${contentType}\r\nContent-Range: bytes ${first}-${last}/${sizeBytes}\r\n\r\n`;
    const before = Buffer.from(place === 0 ? head : `\r\n${head}`, "latin1");
    parts.push({ before, first, last });
    totalBytes += before.length + last - first + 1;
  }
  parts.push({ before: closing, first: 0, last: -1 });
  return { parts, totalBytes };
}
