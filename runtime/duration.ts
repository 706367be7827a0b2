// Reads lengths of time as people write them: "250ms", "10s", "5m", "12h", "7d".

const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1e3, m: 60e3, h: 3600e3, d: 86400e3 };

/** Milliseconds of `text`; undefined when it is not a length of time. The unit is required. */
export function parseDurationMs(text: string): number | undefined {
  const match = /^\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)\s*$/.exec(text);
  if (!match) return undefined;
  const ms = Math.round(Number(match[1]) * unitMs[match[2]!]!);
  return Number.isSafeInteger(ms) ? ms : undefined;
}
