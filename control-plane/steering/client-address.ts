// A client's address as numbers that the prefix trie takes.
import ipaddr from "ipaddr.js";

/** An address of one family: IPv4 in `words[0]`, IPv6 in all four, most significant first. */
export interface AddressWords {
  family: 4 | 6;
  words: Uint32Array;
}

/** Reads `text` into `target` and tells its family; IPv4 in IPv6 (::ffff:1.2.3.4) is the IPv4 it is. Undefined when it is no address. */
export function parseAddressInto(text: string, target: Uint32Array): 4 | 6 | undefined {
  const dotted = parseDotted(text);
  if (dotted !== undefined) {
    target[0] = dotted;
    return 4;
  }
  // ipaddr.js also takes "1", "0x7f.1" and zones, which no socket reports and no proxy sends.
  if (!/^[0-9a-fA-F:]*:[0-9a-fA-F:.]*$/.test(text) || !ipaddr.isValid(text)) return undefined;
  const address = ipaddr.process(text);
  const bytes = address.toByteArray();
  for (let at = 0; at < bytes.length; at += 4) {
    target[at >> 2] = ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
  }
  return bytes.length === 4 ? 4 : 6;
}

export function parseAddress(text: string): AddressWords | undefined {
  const words = new Uint32Array(4);
  const family = parseAddressInto(text, words);
  return family && { family, words };
}

export interface Prefix extends AddressWords {
  lengthBits: number;
}

/** A prefix such as "10.0.0.0/8" with the bits after its length cleared; ::ffff:10.0.0.0/104 is 10.0.0.0/8. Undefined when it is none. */
export function parsePrefix(text: string): Prefix | undefined {
  const match = /^([^/\s]+)\/(\d{1,3})$/.exec(text);
  const address = match ? parseAddress(match[1]!) : undefined;
  if (!match || !address) return undefined;
  let lengthBits = Number(match[2]);
  if (address.family === 4 && match[1]!.includes(":")) lengthBits -= 96;
  if (lengthBits < 0 || lengthBits > (address.family === 4 ? 32 : 128)) return undefined;
  clearAfter(address.words, address.family === 4 ? 1 : 4, lengthBits);
  return { ...address, lengthBits };
}

/** "10.0.0.0/8". */
export function formatPrefix({ family, words, lengthBits }: Prefix): string {
  const bytes: number[] = [];
  for (const word of words.subarray(0, family === 4 ? 1 : 4)) bytes.push(word >>> 24, (word >>> 16) & 255, (word >>> 8) & 255, word & 255);
  return `${ipaddr.fromByteArray(bytes).toString()}/${lengthBits}`;
}

function clearAfter(words: Uint32Array, count: number, lengthBits: number): void {
  for (let at = 0; at < count; at++) {
    const bits = Math.min(32, Math.max(0, lengthBits - at * 32));
    // A shift by 32 is a shift by 0.
    words[at] = bits === 0 ? 0 : (words[at]! & (-1 << (32 - bits))) >>> 0;
  }
}

/** "1.2.3.4" as a number; undefined for anything else. By hand: it is read for every decision. */
function parseDotted(text: string): number | undefined {
  if (text.length < 7 || text.length > 15) return undefined;
  let value = 0;
  let part = 0;
  let digits = 0;
  let dots = 0;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code >= 48 && code <= 57) {
      // "01" is octal to some.
      if (digits === 1 && part === 0) return undefined;
      part = part * 10 + code - 48;
      if (++digits > 3 || part > 255) return undefined;
    } else if (code === 46 && digits > 0 && dots < 3) {
      value = value * 256 + part;
      part = 0;
      digits = 0;
      dots++;
    } else return undefined;
  }
  return dots === 3 && digits > 0 ? value * 256 + part : undefined;
}
