// The decisions of login that need no database: what an address, a password, a name may be, and when guessing ends.
import { createHash } from "node:crypto";
import { z } from "zod";
import { OperatingError } from "../../runtime/operating-error.js";

const emailMaxLength = 254;
const passwordMinLength = 8;
/** argon2 takes any length; reading a long one is work that costs the sender nothing. */
const passwordMaxLength = 256;
const passwordLettersMin = 4;
const nameMaxLength = 40;
/** What a kids' profile may see at most. */
const kidsMaturityMaxAge = 12;
const emailSchema = z.email({ pattern: z.regexes.html5Email });

/** The one way an address is written: trimmed, in lower case. @throws OperatingError "invalid-argument". */
export function normalEmail(text: string): string {
  const email = text.trim().toLowerCase();
  if (email.length > emailMaxLength || !emailSchema.safeParse(email).success) {
    throw new OperatingError(
      "invalid-argument",
      "Cannot use the mail address: Expected one such as ann@example.org, of 254 characters at most",
    );
  }
  return email;
}

/** @throws OperatingError "invalid-argument" when it may not become someone's password. */
export function checkNewPassword(password: string, email: string): void {
  const refuse = (why: string) => new OperatingError("invalid-argument", `Cannot use this password: ${why}`);
  const length = [...password].length;
  if (length < passwordMinLength) throw refuse(`it has fewer than ${passwordMinLength} characters`);
  if (length > passwordMaxLength) throw refuse(`it has more than ${passwordMaxLength} characters`);
  if (new Set(password).size < passwordLettersMin) throw refuse(`it has fewer than ${passwordLettersMin} different characters`);
  if (email !== "" && password.toLowerCase().includes(email)) throw refuse("the mail address is in it");
}

/** A password that is only compared. @throws OperatingError "invalid-argument" when it is too long to be one. */
export function checkGivenPassword(password: string): void {
  if (password.length > 4 * passwordMaxLength)
    throw new OperatingError("invalid-argument", "Cannot check the password: it is too long to be one");
}

/** The name of a profile or device, trimmed. @throws OperatingError "invalid-argument". */
export function checkedName(what: string, text: string): string {
  const name = text.trim().normalize("NFC");
  if (name === "" || [...name].length > nameMaxLength || /\p{Cc}|\p{Surrogate}/u.test(name)) {
    throw new OperatingError("invalid-argument", `Cannot use the ${what}'s name: Expected 1 to ${nameMaxLength} characters`);
  }
  return name;
}

/** @throws OperatingError "invalid-argument" for an age that is none, or more than a child's on a kids' profile. */
export function checkMaturity({ isKids, maturityMaxAge }: { isKids: boolean; maturityMaxAge: number }): void {
  const max = isKids ? kidsMaturityMaxAge : 18;
  if (maturityMaxAge > max) {
    throw new OperatingError("invalid-argument", `Cannot use this maturity: Expected an age of ${max} at most${isKids ? " for kids" : ""}`);
  }
}

/** What stands for a secret or an address in the database. */
export function sha256Hex(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

/** Addresses that one household or attacker has for itself count as one: an IPv6 /64. */
export function addressGroup(address: string): string {
  if (!address.includes(":")) return address;
  const [head = "", tail] = address.split("::");
  const groups = head.split(":").filter((group) => group !== "");
  const tailGroups = (tail ?? "").split(":").filter((group) => group !== "");
  if (tail !== undefined) while (groups.length + tailGroups.length < 8) groups.push("0");
  return `${[...groups, ...tailGroups].slice(0, 4).join(":")}::/64`;
}

export interface GuardRules {
  failuresMax: number;
  /** Failures that are older do not count. */
  windowMs: number;
  /** The first lock; each further one is twice as long. */
  lockFirstMs: number;
  lockMaxMs: number;
}

/** What is known of the wrong passwords for one mail address. */
export interface Guard {
  failures: number;
  locks: number;
  lockedUntilUnixMs: number;
  lastFailureAtUnixMs: number;
}

/** After so long without a failure the locks begin at the first again. */
const locksForgottenAfterMs = 86_400_000;

/**
 * Whether one more password may be tried now, and the guard with this try counted as a failure already: it is written before the
 * password is looked at, so that a thousand guesses at once are a thousand failures. A right password deletes it.
 */
export function decideGuess(
  guard: Guard | undefined,
  nowUnixMs: number,
  rules: GuardRules,
): { locked: true; retryAfterMs: number } | { locked: false; next: Guard } {
  const known: Guard = guard ?? { failures: 0, locks: 0, lockedUntilUnixMs: 0, lastFailureAtUnixMs: 0 };
  // A lock never lasts longer than the longest, whatever another copy's clock was when it was written.
  const retryAfterMs = Math.min(known.lockedUntilUnixMs - nowUnixMs, rules.lockMaxMs);
  if (retryAfterMs > 0) return { locked: true, retryAfterMs };
  const ageMs = nowUnixMs - known.lastFailureAtUnixMs;
  const locks = ageMs > locksForgottenAfterMs ? 0 : known.locks;
  const failures = (ageMs > rules.windowMs ? 0 : known.failures) + 1;
  if (failures < rules.failuresMax)
    return { locked: false, next: { failures, locks, lockedUntilUnixMs: 0, lastFailureAtUnixMs: nowUnixMs } };
  const lockMs = Math.min(rules.lockMaxMs, rules.lockFirstMs * 2 ** locks);
  return {
    locked: false,
    next: { failures: 0, locks: locks + 1, lockedUntilUnixMs: nowUnixMs + lockMs, lastFailureAtUnixMs: nowUnixMs },
  };
}
