// The hours in which an appliance fills, by the clock on the wall where it stands.

/** Minutes of the day, from midnight. `from` = `to`: the whole day. With `to` before `from` it goes over midnight. */
export interface FillWindow {
  fromMinute: number;
  toMinute: number;
}

/** Windows are looked for no further ahead than this: every day has all of them, but for what a change of the clock leaves out. */
const lookAheadMs = 49 * 3_600_000;
const stepMs = 60_000;

/** Reads "HH:MM", to 24:00; undefined for anything else. */
export function parseTimeOfDay(text: string): number | undefined {
  const match = /^(\d{2}):(\d{2})$/.exec(text);
  if (!match) return undefined;
  const minute = Number(match[1]) * 60 + Number(match[2]);
  return Number(match[2]) < 60 && minute <= 24 * 60 ? minute : undefined;
}

export class FillWindows {
  readonly #windows: readonly FillWindow[];
  readonly #format: Intl.DateTimeFormat;

  /**
   * Without windows it is always time to fill. `timeZone`: an IANA name. Only what the clock on the wall shows counts: in the night in which an hour
   * comes twice, a window over it is an hour longer, and in the one that lacks an hour it is shorter, or not at all.
   */
  constructor(windows: readonly FillWindow[], timeZone: string) {
    this.#windows = windows;
    this.#format = new Intl.DateTimeFormat("en-GB", { timeZone, hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  }

  isOpen(unixMs: number): boolean {
    if (this.#windows.length === 0) return true;
    const minute = this.#minuteOf(unixMs);
    return this.#windows.some(({ fromMinute, toMinute }) => {
      if (fromMinute === toMinute) return true;
      return fromMinute < toMinute ? minute >= fromMinute && minute < toMinute : minute >= fromMinute || minute < toMinute;
    });
  }

  /** When it is next time to fill; `unixMs` itself when it is. Undefined: never within two days. */
  nextOpen(unixMs: number): number | undefined {
    if (this.isOpen(unixMs)) return unixMs;
    const firstMinute = Math.ceil(unixMs / stepMs) * stepMs;
    for (let at = firstMinute; at <= unixMs + lookAheadMs; at += stepMs) if (this.isOpen(at)) return at;
    return undefined;
  }

  #minuteOf(unixMs: number): number {
    const parts = this.#format.formatToParts(unixMs);
    const read = (type: string) => Number(parts.find((part) => part.type === type)!.value);
    return read("hour") * 60 + read("minute");
  }
}

export function isTimeZone(name: string): boolean {
  try {
    return new Intl.DateTimeFormat("en-GB", { timeZone: name }).resolvedOptions().timeZone !== "";
  } catch {
    return false;
  }
}
