// A key that signs tokens, and which of several is the one to sign with.

/** The secret that signs and checks; whoever has it can make tokens. */
export interface SigningKey {
  id: string;
  secret: string;
}

/** A key with its times, as a lease carries it. */
export interface TokenKey extends SigningKey {
  /** From then on it signs; appliances have it earlier. */
  signsFromUnixMs?: number | undefined;
  /** From then on its tokens are refused; undefined: never. */
  untilUnixMs?: number | undefined;
}

/** The newest key that may sign at that time; the first of several that are equally new. Undefined when none may. */
export function chooseSigningKey<Key extends TokenKey>(keys: readonly Key[], nowUnixMs: number): Key | undefined {
  let best: Key | undefined;
  for (const key of keys) {
    const from = key.signsFromUnixMs ?? 0;
    if (from > nowUnixMs || (key.untilUnixMs !== undefined && key.untilUnixMs <= nowUnixMs)) continue;
    if (!best || from > (best.signsFromUnixMs ?? 0)) best = key;
  }
  return best;
}
