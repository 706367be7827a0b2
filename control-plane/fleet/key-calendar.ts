// When keys of tokens begin and end. Decided by the clock alone, so that all copies of the control plane come to the same.

export interface KeyCalendar {
  /** A key signs for this long; the next one is made one such period ahead, so that every appliance has it when it begins. */
  rotateEveryMs: number;
  /** The longest life of a playback token. */
  urlsValidForMs: number;
  /** An appliance that is on its own goes on with the keys of its lease, and signs its fill tokens with the last of them. */
  leaseValidForMs: number;
}

export interface PlannedKey {
  id: string;
  signsFromUnixMs: number;
  untilUnixMs: number;
}

/** The keys that have to be there at that time: the one that signs, and the next. */
export function keysToMake(calendar: KeyCalendar, nowUnixMs: number): PlannedKey[] {
  const period = Math.floor(nowUnixMs / calendar.rotateEveryMs);
  return [period, period + 1].map((number) => {
    const signsFromUnixMs = number * calendar.rotateEveryMs;
    const untilUnixMs = signsFromUnixMs + calendar.rotateEveryMs + Math.max(calendar.urlsValidForMs, calendar.leaseValidForMs);
    // The length of the period is part of the name: after a change of the setting old and new numbers could be the same.
    return {
      id: `f${(calendar.rotateEveryMs / 1000).toString(36).replace(".", "-")}-${number.toString(36)}`,
      signsFromUnixMs,
      untilUnixMs,
    };
  });
}
