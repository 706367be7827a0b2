// The token of a request between appliances: proves that the one who fills belongs to the fleet, and opens every object.
//
//   millrace-fill-token: KEYID.CLAIMS.SIGNATURE
//
//   CLAIMS     base64url of a JSON object: { e: expiry, a: appliance }
//   SIGNATURE  base64url of HMAC-SHA-256 over "fill:KEYID.CLAIMS", so that no playback token is one, nor the other way round
import { createHmac, timingSafeEqual } from "node:crypto";
import type { SigningKey } from "./token-key.js";

export const fillTokenHeader = "millrace-fill-token";

/** Longest token that is looked at, in characters. */
const fillTokenCharactersMax = 512;

export interface FillClaims {
  /** Seconds since 1970. From then on the token is worth nothing. */
  expiresUnixS: number;
  /** Who fills, by its appliance id. */
  applianceId: string;
}

/** A token as it came, not yet worth anything. */
export interface UncheckedFillToken {
  keyId: string;
  claims: FillClaims;
  /** Takes the same time for every wrong signature. */
  isSignedWith(secret: string): boolean;
}

export function makeFillToken({ expiresUnixS, applianceId }: FillClaims, key: SigningKey): string {
  const signed = `${key.id}.${Buffer.from(JSON.stringify({ e: expiresUnixS, a: applianceId })).toString("base64url")}`;
  return `${signed}.${signatureOf(signed, key.secret).toString("base64url")}`;
}

/** Undefined for what is no fill token. Never throws, whatever the text. */
export function parseFillToken(text: string): UncheckedFillToken | undefined {
  if (text.length > fillTokenCharactersMax) return undefined;
  const match = /^([A-Za-z0-9-]{1,63})\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]{43})$/.exec(text);
  if (!match) return undefined;
  const [, keyId, claimsText, signatureText] = match as unknown as [string, string, string, string];
  const claims = parseClaims(Buffer.from(claimsText, "base64url").toString("utf8"));
  if (!claims) return undefined;
  const signature = Buffer.from(signatureText, "base64url");
  return {
    keyId,
    claims,
    isSignedWith: (secret) => timingSafeEqual(signature, signatureOf(`${keyId}.${claimsText}`, secret)),
  };
}

function signatureOf(signed: string, secret: string): Buffer {
  return createHmac("sha256", secret).update(`fill:${signed}`).digest();
}

function parseClaims(json: string): FillClaims | undefined {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null) return undefined;
  const { e, a } = value as Record<string, unknown>;
  if (typeof e !== "number" || !Number.isFinite(e) || typeof a !== "string" || a === "") return undefined;
  return { expiresUnixS: e, applianceId: a };
}
