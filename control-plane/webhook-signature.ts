// Signatures of webhooks: "t=UNIX SECONDS,v1=HMAC-SHA-256 of `t.body` in hex", the scheme that Stripe uses.
import { createHmac, timingSafeEqual } from "node:crypto";

/** A webhook that is older, or from further ahead, was recorded and sent again. */
const ageSecondsMax = 300;

export function signWebhook(body: string | Buffer, { secret, nowUnixMs }: { secret: string; nowUnixMs: number }): string {
  const seconds = Math.floor(nowUnixMs / 1000);
  return `t=${seconds},v1=${macOf(seconds, body, secret).toString("hex")}`;
}

/** Why the signature is not good; undefined when it is. */
export function whyBadSignature(
  signature: string,
  body: Buffer,
  { secret, nowUnixMs }: { secret: string; nowUnixMs: number },
): string | undefined {
  const match = /^t=(\d{1,12}),v1=([0-9a-f]{64})$/.exec(signature);
  if (!match) return "its signature is malformed";
  const seconds = Number(match[1]);
  if (!timingSafeEqual(macOf(seconds, body, secret), Buffer.from(match[2]!, "hex"))) return "its signature is wrong";
  if (Math.abs(nowUnixMs / 1000 - seconds) > ageSecondsMax) return "its time is over";
  return undefined;
}

function macOf(seconds: number, body: string | Buffer, secret: string): Buffer {
  return createHmac("sha256", secret).update(`${seconds}.`).update(body).digest();
}
