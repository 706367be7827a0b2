// The calendar of billing periods, in UTC.

export const dayMs = 86_400_000;

/**
 * The moment `months` calendar months after `fromUnixMs`, at the same time of day, on `anchorDay` or the last day of a
 * shorter month: 31 January → 28 February → 31 March.
 */
export function addMonths(fromUnixMs: number, months: number, anchorDay: number): number {
  const from = new Date(fromUnixMs);
  const firstOfMonth = Date.UTC(from.getUTCFullYear(), from.getUTCMonth() + months, 1);
  const first = new Date(firstOfMonth);
  const lastDay = new Date(Date.UTC(first.getUTCFullYear(), first.getUTCMonth() + 1, 0)).getUTCDate();
  const timeOfDayMs = ((fromUnixMs % dayMs) + dayMs) % dayMs;
  return firstOfMonth + (Math.min(anchorDay, lastDay) - 1) * dayMs + timeOfDayMs;
}

export function dayOfMonth(unixMs: number): number {
  return new Date(unixMs).getUTCDate();
}
