// The name of a content-steering session: it carries what a copy of the control plane must know to answer for it, signed, so that none has to be
// kept and none can be made up.
//
//   CLAIMS.SIGNATURE    CLAIMS: base64url of { i: id, t: title, b: bits per second, e: expiry in seconds since 1970 }
//                       SIGNATURE: base64url of HMAC-SHA-256 over "steering-session." and CLAIMS
import { createHmac, timingSafeEqual } from "node:crypto";
import { z } from "zod";

/** Longest name that is looked at, in characters. */
const nameCharactersMax = 512;

const claimsSchema = z.object({ i: z.string().min(1).max(64), t: z.string().min(1).max(64), b: z.number().min(1), e: z.number() });

export interface SteeringSession {
  id: string;
  titleId: string;
  bitsPerSecond: number;
  expiresUnixMs: number;
}

export class SteeringSessions {
  readonly #secret: string;

  constructor(secret: string) {
    this.#secret = secret;
  }

  nameOf({ id, titleId, bitsPerSecond, expiresUnixMs }: SteeringSession): string {
    const claims = { i: id, t: titleId, b: Math.round(bitsPerSecond), e: Math.floor(expiresUnixMs / 1000) };
    const text = Buffer.from(JSON.stringify(claims)).toString("base64url");
    return `${text}.${this.#sign(text).toString("base64url")}`;
  }

  /** Undefined for what is no name of ours, or no longer. Never throws, whatever the text. */
  parse(name: string, nowUnixMs: number): SteeringSession | undefined {
    const match = name.length <= nameCharactersMax ? /^([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]{43})$/.exec(name) : null;
    if (!match) return undefined;
    const expected = this.#sign(match[1]!);
    const signature = Buffer.from(match[2]!, "base64url");
    if (signature.length !== expected.length || !timingSafeEqual(signature, expected)) return undefined;
    const claims = claimsSchema.safeParse(JSON.parse(Buffer.from(match[1]!, "base64url").toString("utf8")));
    if (!claims.success || claims.data.e * 1000 <= nowUnixMs) return undefined;
    const { i, t, b, e } = claims.data;
    return { id: i, titleId: t, bitsPerSecond: b, expiresUnixMs: e * 1000 };
  }

  #sign(text: string): Buffer {
    return createHmac("sha256", this.#secret).update(`steering-session.${text}`).digest();
  }
}
