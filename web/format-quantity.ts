// Quantities as a person reads them.

const binaryUnits = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"] as const;

/** Storage: `7.6 MiB`. Three figures at most, as `ls -h` does. */
export function formatBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 999.5 && unit < binaryUnits.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 ? Math.round(value) : figures(value)} ${binaryUnits[unit]}`;
}

const bitUnits = ["b/s", "kb/s", "Mb/s", "Gb/s", "Tb/s"] as const;

/** Traffic: `12.4 Mb/s`, decimal, as links are sold. */
export function formatBitRate(bitsPerSecond: number): string {
  let value = bitsPerSecond;
  let unit = 0;
  while (value >= 999.5 && unit < bitUnits.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit === 0 ? Math.round(value) : figures(value)} ${bitUnits[unit]}`;
}

/** A count per second or of things: `0.4`, `12`, `3,400`. */
export function formatNumber(value: number): string {
  return value > 0 && value < 10 && !Number.isInteger(value) ? value.toFixed(1) : Math.round(value).toLocaleString("en");
}

/** A length of film: `1:02`, `1:23:45`. */
export function formatRunningTime(seconds: number): string {
  const whole = Math.round(seconds);
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const tail = String(rest).padStart(2, "0");
  return hours > 0 ? `${hours}:${String(minutes).padStart(2, "0")}:${tail}` : `${minutes}:${tail}`;
}

/** How long ago: `now`, `4 s`, `3 min`, `5 h`, `2 d`. A clock that is ahead of ours reads as now. */
export function formatAge(ageMs: number): string {
  const seconds = Math.floor(ageMs / 1000);
  if (seconds < 1) return "now";
  if (seconds < 100) return `${seconds} s`;
  if (seconds < 100 * 60) return `${Math.round(seconds / 60)} min`;
  if (seconds < 48 * 3600) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} d`;
}

/** Time of day, on the reader's clock: `12:03:04`. */
export function formatTimeOfDay(unixMs: number): string {
  const date = new Date(unixMs);
  return [date.getHours(), date.getMinutes(), date.getSeconds()].map((part) => String(part).padStart(2, "0")).join(":");
}

/** An appliance's id, cut to its first eight digits when it is a UUID: enough to tell boxes apart on a page. */
export function shortId(applianceId: string): string {
  return /^[0-9a-f]{8}-[0-9a-f]{4}-/i.test(applianceId) ? applianceId.slice(0, 8) : applianceId;
}

function figures(value: number): string {
  return value < 9.95
    ? value.toFixed(2).replace(/0$/, "")
    : value < 99.5
      ? value.toFixed(1).replace(/\.0$/, "")
      : String(Math.round(value));
}
