// Whose address a request comes from, behind any number of trusted proxies.
import { parseAddress, parsePrefix } from "../steering/client-address.js";
import { matchesMax, PrefixTrie } from "../steering/prefix-trie.js";

/** Proxies in one X-Forwarded-For that are looked at. */
const hopsMax = 32;

/** The networks whose X-Forwarded-For is believed. */
export class TrustedProxies {
  readonly #tries = { 4: new PrefixTrie(4), 6: new PrefixTrie(6) };
  readonly #nodes = new Int32Array(matchesMax);

  /** @param prefixes all valid, as the settings have made sure. */
  constructor(prefixes: readonly string[]) {
    for (const text of prefixes) {
      const { family, words, lengthBits } = parsePrefix(text)!;
      this.#tries[family].set(words, lengthBits, 0);
    }
  }

  has(address: string): boolean {
    const parsed = parseAddress(address);
    return parsed !== undefined && this.#tries[parsed.family].match(parsed.words, this.#nodes) > 0;
  }
}

/**
 * The client's address: the socket's, or, where that is a trusted proxy, the last in X-Forwarded-For that is not one. What
 * stands before that in the header was written by the client itself and is not believed.
 *
 * @param forwardedFor the header's value; empty when there is none.
 */
export function clientAddressOf(socketAddress: string, forwardedFor: string, trusted: TrustedProxies): string {
  let address = socketAddress;
  const hops = forwardedFor.split(",").slice(-hopsMax);
  while (hops.length > 0 && trusted.has(address)) {
    const hop = withoutPort(hops.pop()!.trim());
    if (parseAddress(hop) === undefined) return address;
    address = hop;
  }
  return address;
}

/** Some proxies write "1.2.3.4:5678" or "[2001:db8::1]:5678". */
function withoutPort(hop: string): string {
  return /^\[(.+)\](?::\d+)?$/.exec(hop)?.[1] ?? /^([\d.]+):\d+$/.exec(hop)?.[1] ?? hop;
}
