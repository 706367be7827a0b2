// Address prefixes ("198.51.100.0/24"), held against the address of a client as the engine gives it: four or sixteen bytes.
import ipaddr from "ipaddr.js";

export interface ClientPrefix {
  readonly bytes: Uint8Array;
  readonly bits: number;
}

/** Reads CIDR, or one address. Undefined for what is neither. */
export function parseClientPrefix(text: string): ClientPrefix | undefined {
  try {
    const [address, bits] = text.includes("/") ? ipaddr.parseCIDR(text) : [ipaddr.parse(text), undefined];
    const bytes = Uint8Array.from(address.toByteArray());
    return { bytes, bits: bits ?? bytes.length * 8 };
  } catch {
    return undefined;
  }
}

/** Whether a client is in the prefix. An IPv4 address that comes as ::ffff:a.b.c.d is one of IPv4. */
export function isInPrefix(client: Uint8Array, prefix: ClientPrefix): boolean {
  const address = client.length === 16 && prefix.bytes.length === 4 && isMappedIpv4(client) ? client.subarray(12) : client;
  if (address.length !== prefix.bytes.length) return false;
  const whole = prefix.bits >> 3;
  for (let at = 0; at < whole; at++) if (address[at] !== prefix.bytes[at]) return false;
  const rest = prefix.bits & 7;
  return rest === 0 || ((address[whole]! ^ prefix.bytes[whole]!) & (0xff << (8 - rest)) & 0xff) === 0;
}

function isMappedIpv4(address: Uint8Array): boolean {
  for (let at = 0; at < 10; at++) if (address[at] !== 0) return false;
  return address[10] === 0xff && address[11] === 0xff;
}
