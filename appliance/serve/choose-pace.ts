// At what rate a response is sent: what its token says, else what the settings say; a player may ask for less.
import type { PaceOptions } from "./pacer.js";

/** CMCD counts in kbit/s, in steps of 100: a wish for less than one step is a mistake. */
const wishBytesPerSecondMin = 12_500;

export interface PaceRules {
  /** For responses whose token names no rate; undefined: these are not paced. */
  bytesPerSecond: number | undefined;
  burstBytes: number;
  /** Whether a player's own wish counts (CMCD rtp). */
  followPlayers: boolean;
}

/** `wishKbps`: rtp of CMCD. Undefined: as fast as the socket takes it. */
export function choosePace(
  rules: PaceRules,
  { tokenBytesPerSecond, wishKbps }: { tokenBytesPerSecond: number | undefined; wishKbps: number | undefined },
): PaceOptions | undefined {
  let bytesPerSecond = tokenBytesPerSecond ?? rules.bytesPerSecond;
  if (rules.followPlayers && wishKbps !== undefined) {
    bytesPerSecond = Math.min(bytesPerSecond ?? Infinity, Math.max(wishBytesPerSecondMin, wishKbps * 125));
  }
  return bytesPerSecond === undefined ? undefined : { bytesPerSecond, burstBytes: rules.burstBytes };
}
