// What the bytes of a generated object are: a function of its number and the offset, so that any server's answer can be checked without the files.

/**
 * The pattern's length is the largest prime below 1 MiB: a body that is shifted by whole chunks, pages or blocks, or taken from
 * another object, therefore never looks right by chance.
 */
export const patternBytes = 1_048_573;
/** Prime to patternBytes, so that the phases of the first patternBytes objects all differ. */
const phaseStep = 104_729;

const pattern = makePattern();

/**
 * Byte `o` of object `n` is PATTERN[(o + 104729 × n) mod 1048573]. PATTERN is the top byte of each step of Marsaglia's xorshift32 (13, 17, 5)
 * started at 0x9E3779B9. It is held twice in a row so that any 1048573 bytes of it lie in one piece.
 */
function makePattern(): Buffer {
  const bytes = Buffer.allocUnsafeSlow(2 * patternBytes);
  let x = 0x9e3779b9;
  for (let i = 0; i < patternBytes; i++) {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    bytes[i] = x >>> 24;
  }
  bytes.copy(bytes, patternBytes, 0, patternBytes);
  return bytes;
}

function patternOffset(objectNumber: number, offset: number): number {
  return (offset + ((objectNumber * phaseStep) % patternBytes)) % patternBytes;
}

/** Writes the bytes of object `objectNumber` from `offset` on over the whole of `target`. */
export function fillWithContent(target: Uint8Array, objectNumber: number, offset: number): void {
  let at = patternOffset(objectNumber, offset);
  for (let done = 0; done < target.length;) {
    const length = Math.min(patternBytes, target.length - done);
    target.set(pattern.subarray(at, at + length), done);
    done += length;
    at = (at + length) % patternBytes;
  }
}

/** How many bytes of buffer[start, end) are not those of object `objectNumber` from `offset` on. About 10 GB/s where all are right. */
export function countWrongBytes(buffer: Buffer, start: number, end: number, objectNumber: number, offset: number): number {
  let wrong = 0;
  let at = patternOffset(objectNumber, offset);
  for (let from = start; from < end;) {
    const length = Math.min(patternBytes, end - from);
    if (buffer.compare(pattern, at, at + length, from, from + length) !== 0) {
      for (let i = 0; i < length; i++) if (buffer[from + i] !== pattern[at + i]) wrong++;
    }
    from += length;
    at = (at + length) % patternBytes;
  }
  return wrong;
}
