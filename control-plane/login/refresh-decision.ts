// What becomes of a refresh token that is one of ours.

/** An answer that is lost on its way makes the client say the same again: for so long that is not theft. */
export const refreshGraceMs = 10_000;

export interface RefreshState {
  /** The one that is good. */
  tokenNumber: number;
  rotatedAtUnixMs: number;
  expiresAtUnixMs: number;
  ended: boolean;
}

/**
 * "rotate": the good one; the next number becomes good. "again": the one before it, whose answer may have been lost: the good one once
 * more, since nobody has used that. "end-family": an older one, or the one before after its time; someone has a copy. "refuse": the session has
 * ended, has expired, or is not known, or the number is ahead of ours (a database from a backup).
 */
export function decideRefresh(
  state: RefreshState | undefined,
  { number, nowUnixMs }: { number: number; nowUnixMs: number },
): "rotate" | "again" | "end-family" | "refuse" {
  if (!state || state.ended || state.expiresAtUnixMs <= nowUnixMs || number > state.tokenNumber) return "refuse";
  if (number === state.tokenNumber) return "rotate";
  const ageMs = nowUnixMs - state.rotatedAtUnixMs;
  return number === state.tokenNumber - 1 && ageMs >= 0 && ageMs <= refreshGraceMs ? "again" : "end-family";
}
