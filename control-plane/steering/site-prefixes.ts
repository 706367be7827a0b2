// Which sites are near a client: longest-prefix match of its address over the prefixes that sites announce.
import ipaddr from "ipaddr.js";

/** One announced prefix that covers an address. */
export interface PrefixMatch {
  /** As announced: "10.0.0.0/8". */
  prefix: string;
  lengthBits: number;
  siteIds: readonly string[];
}

/** An address as 4 or 16 bytes; IPv4 in IPv6 (::ffff:1.2.3.4) as the IPv4 it is. Undefined when it is no address. */
export function parseAddress(text: string): readonly number[] | undefined {
  // ipaddr.js also takes "1", "0x7f.1" and zones, which no socket reports and no proxy sends.
  if (!/^(\d{1,3}(\.\d{1,3}){3}|[0-9a-fA-F:]*:[0-9a-fA-F:.]*)$/.test(text) || !ipaddr.isValid(text)) return undefined;
  return ipaddr.process(text).toByteArray();
}

interface Announced {
  prefix: string;
  siteIds: string[];
}

export class SitePrefixes {
  /** Per family (4 or 16 bytes) and prefix length: masked address → who announces it. */
  readonly #families = new Map<number, Map<number, Map<string, Announced>>>();
  /** Per family, longest first. */
  readonly #lengths = new Map<number, number[]>();

  /** @param sites whose prefixes are all valid, as the settings have made sure. */
  constructor(sites: readonly { id: string; prefixes: readonly string[] }[]) {
    for (const { id, prefixes } of sites) for (const prefix of prefixes) this.#add(prefix, id);
    for (const [family, byLength] of this.#families) {
      this.#lengths.set(
        family,
        [...byLength.keys()].sort((a, b) => b - a),
      );
    }
  }

  /** Every announced prefix that covers `address`, longest first. */
  matchesOf(address: readonly number[]): PrefixMatch[] {
    const matches: PrefixMatch[] = [];
    for (const lengthBits of this.#lengths.get(address.length) ?? []) {
      const announced = this.#families.get(address.length)!.get(lengthBits)!.get(maskedKey(address, lengthBits));
      if (announced) matches.push({ prefix: announced.prefix, lengthBits, siteIds: announced.siteIds });
    }
    return matches;
  }

  #add(prefix: string, siteId: string): void {
    const [parsed, parsedBits] = ipaddr.parseCIDR(prefix);
    // ::ffff:10.0.0.0/104 is 10.0.0.0/8 in other clothes.
    const isMapped = parsed.kind() === "ipv6" && (parsed as ipaddr.IPv6).isIPv4MappedAddress() && parsedBits >= 96;
    const bytes = isMapped ? (parsed as ipaddr.IPv6).toIPv4Address().toByteArray() : parsed.toByteArray();
    const lengthBits = isMapped ? parsedBits - 96 : parsedBits;
    const byLength = getOrMake(this.#families, bytes.length, () => new Map<number, Map<string, Announced>>());
    const byAddress = getOrMake(byLength, lengthBits, () => new Map<string, Announced>());
    const announced = getOrMake(byAddress, maskedKey(bytes, lengthBits), () => ({ prefix, siteIds: [] }));
    if (!announced.siteIds.includes(siteId)) announced.siteIds.push(siteId);
  }
}

/** The first `lengthBits` of `address` as a map key; the bits after them don't count. */
function maskedKey(address: readonly number[], lengthBits: number): string {
  const wholeBytes = lengthBits >> 3;
  const restBits = lengthBits & 7;
  let key = "";
  for (let at = 0; at < wholeBytes; at++) key += String.fromCharCode(address[at]!);
  if (restBits > 0) key += String.fromCharCode(address[wholeBytes]! & (0xff << (8 - restBits)));
  return key;
}

function getOrMake<Key, Value>(map: Map<Key, Value>, key: Key, make: () => Value): Value {
  let value = map.get(key);
  if (value === undefined) {
    value = make();
    map.set(key, value);
  }
  return value;
}
