// The token of a playback URL: what it lets its bearer fetch, signed so that an appliance can check it alone.
//
//   /~KEYID.CLAIMS.SIGNATURE/path      or  /path?tk=KEYID.CLAIMS.SIGNATURE
//
//   KEYID      which key signed it: letters, digits and dashes
//   CLAIMS     base64url of a JSON object: { e: expiry, p: path prefix, c?: client prefix, s?: session, r?: rate, d?: diverted by }
//   SIGNATURE  base64url of HMAC-SHA-256 over "KEYID.CLAIMS"
//
// In the path a token is inherited by the relative URLs of a playlist.
import { createHmac, timingSafeEqual } from "node:crypto";
import type { SigningKey } from "./token-key.js";

/** Longest token that is looked at, in characters. */
export const playbackTokenCharactersMax = 1024;

export interface PlaybackClaims {
  /** Seconds since 1970. From then on the token is worth nothing. */
  expiresUnixS: number;
  /** Objects whose path begins so; "" for all. A prefix that should end at a folder ends with a slash. */
  pathPrefix: string;
  /** CIDR ("198.51.100.0/24"): only clients from there. */
  clientPrefix?: string;
  /** Whose playback it is; can be revoked by name. */
  session?: string;
  /** Responses to its bearer are sent no faster. */
  bytesPerSecond?: number;
  /** Why the player was not sent to a better appliance: it lacked content (C) or health (H). */
  divertedBy?: "C" | "H";
}

/** A token as it came, not yet worth anything. */
export interface UncheckedToken {
  keyId: string;
  /** What the signature is over. */
  signed: string;
  signature: Buffer;
  claims: PlaybackClaims;
}

export function makePlaybackToken(claims: PlaybackClaims, key: SigningKey): string {
  const { expiresUnixS: e, pathPrefix: p, clientPrefix: c, session: s, bytesPerSecond: r, divertedBy: d } = claims;
  const signed = `${key.id}.${Buffer.from(JSON.stringify({ e, p, c, s, r, d })).toString("base64url")}`;
  return `${signed}.${signatureOf(signed, key.secret).toString("base64url")}`;
}

/** Undefined for what is no token. Never throws, whatever the text. */
export function parsePlaybackToken(text: string): UncheckedToken | undefined {
  if (text.length > playbackTokenCharactersMax) return undefined;
  const match = /^([A-Za-z0-9-]{1,63})\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]{43})$/.exec(text);
  if (!match) return undefined;
  const claims = parseClaims(Buffer.from(match[2]!, "base64url").toString("utf8"));
  if (!claims) return undefined;
  return { keyId: match[1]!, signed: `${match[1]}.${match[2]}`, signature: Buffer.from(match[3]!, "base64url"), claims };
}

/** Takes the same time for every wrong signature. */
export function isSignedWith(token: UncheckedToken, secret: string): boolean {
  const expected = signatureOf(token.signed, secret);
  return token.signature.length === expected.length && timingSafeEqual(token.signature, expected);
}

function signatureOf(signed: string, secret: string): Buffer {
  return createHmac("sha256", secret).update(signed).digest();
}

function parseClaims(json: string): PlaybackClaims | undefined {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null) return undefined;
  const { e, p, c, s, r, d } = value as Record<string, unknown>;
  if (typeof e !== "number" || !Number.isFinite(e) || typeof p !== "string") return undefined;
  if ((c !== undefined && typeof c !== "string") || (s !== undefined && typeof s !== "string")) return undefined;
  if (r !== undefined && !(typeof r === "number" && Number.isFinite(r) && r >= 1)) return undefined;
  return {
    expiresUnixS: e,
    pathPrefix: p,
    ...(c === undefined ? {} : { clientPrefix: c }),
    ...(s === undefined ? {} : { session: s }),
    ...(r === undefined ? {} : { bytesPerSecond: r }),
    // A letter of a later version is none that we can account.
    ...(d === "C" || d === "H" ? { divertedBy: d } : {}),
  };
}
