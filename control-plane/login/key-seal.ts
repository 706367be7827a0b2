// Private keys as they are stored: sealed with a secret of the settings, so that a copy of the database alone signs nothing.
import { createCipheriv, createDecipheriv, createHash, randomBytes } from "node:crypto";
import { OperatingError } from "../../runtime/operating-error.js";

/** AES-256-GCM, "sealed:" and base64url of nonce (12 bytes), tag (16), text; without a secret the text itself. */
export function seal(text: string, secret: string | undefined): string {
  if (secret === undefined) return text;
  const nonce = randomBytes(12);
  const cipher = createCipheriv("aes-256-gcm", keyOf(secret), nonce);
  const sealed = Buffer.concat([cipher.update(text, "utf8"), cipher.final()]);
  return `sealed:${Buffer.concat([nonce, cipher.getAuthTag(), sealed]).toString("base64url")}`;
}

/** @throws OperatingError "keys-sealed" when the secret is missing or another. */
export function openSealed(text: string, secret: string | undefined): string {
  if (!text.startsWith("sealed:")) return text;
  const bytes = Buffer.from(text.slice("sealed:".length), "base64url");
  try {
    const decipher = createDecipheriv("aes-256-gcm", keyOf(secret ?? ""), bytes.subarray(0, 12));
    decipher.setAuthTag(bytes.subarray(12, 28));
    return Buffer.concat([decipher.update(bytes.subarray(28)), decipher.final()]).toString("utf8");
  } catch (error) {
    throw new OperatingError("keys-sealed", "Cannot read the signing keys: login.keySecret is missing, or not the one that sealed them", {
      cause: error,
    });
  }
}

/** The secret is random text of 32 characters or more, so it needs no slow derivation. */
function keyOf(secret: string): Buffer {
  return createHash("sha256").update(`millrace key seal ${secret}`).digest();
}
