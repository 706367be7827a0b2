// Signs what a playback may fetch: one token for all objects of a title, which relative URLs inherit.
import { randomUUID } from "node:crypto";
import ipaddr from "ipaddr.js";
import { makePlaybackToken } from "../../fill-protocol/playback-token.js";
import type { Clock } from "../../runtime/clock.js";
import type { DiversionLetter } from "./diversion.js";
import type { TokenKeys } from "../fleet/token-keys.js";

/** What a client keeps while its address changes within its network. */
const boundBitsOf = { ipv4: 24, ipv6: 48 } as const;

export interface UrlSignerOptions {
  keys: Pick<TokenKeys, "signingKey">;
  clock: Clock;
  validForMs: number;
  /** Whether a token is good in the client's own network only. */
  bindClients: boolean;
}

export interface SignedPlayback {
  paths: readonly string[];
  clientAddress: string;
  /** One of its own where it is left out. */
  session?: string;
  divertedBy?: DiversionLetter | undefined;
}

export class UrlSigner {
  readonly #options: UrlSignerOptions;

  constructor(options: UrlSignerOptions) {
    this.#options = options;
  }

  /** A token for all of `paths`, and what lies in the folder that they share. Tokens of one session can be revoked together. */
  sign({ paths, clientAddress, session = randomUUID(), divertedBy }: SignedPlayback): string {
    const { bindClients, clock, keys, validForMs } = this.#options;
    const clientPrefix = bindClients ? prefixOf(clientAddress) : undefined;
    const claims = {
      expiresUnixS: Math.ceil((clock.unixMs() + validForMs) / 1000),
      pathPrefix: sharedFolderOf(paths),
      ...(clientPrefix === undefined ? {} : { clientPrefix }),
      session,
      ...(divertedBy === undefined ? {} : { divertedBy }),
    };
    return makePlaybackToken(claims, keys.signingKey());
  }
}

/** The longest folder that all of the paths are in, with its slash; the path itself when there is one; "" when they share no folder. */
export function sharedFolderOf(paths: readonly string[]): string {
  const [first = "", ...others] = paths;
  if (others.length === 0) return first;
  const folders = first.split("/").slice(0, -1);
  let shared = folders.length;
  for (const path of others) {
    const parts = path.split("/").slice(0, -1);
    let same = 0;
    while (same < shared && parts[same] === folders[same]) same++;
    shared = same;
  }
  return folders
    .slice(0, shared)
    .map((folder) => `${folder}/`)
    .join("");
}

function prefixOf(clientAddress: string): string | undefined {
  if (!ipaddr.isValid(clientAddress)) return undefined;
  const address = ipaddr.process(clientAddress);
  const bits = boundBitsOf[address.kind()];
  const network =
    address.kind() === "ipv4"
      ? ipaddr.IPv4.networkAddressFromCIDR(`${address}/${bits}`)
      : ipaddr.IPv6.networkAddressFromCIDR(`${address}/${bits}`);
  return `${network}/${bits}`;
}
