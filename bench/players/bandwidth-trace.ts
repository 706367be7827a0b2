// How much a line carries at each moment, from the common "seconds Mbps" files.
import { OperatingError } from "../../runtime/operating-error.js";

/** Repeats itself when it ends. */
export interface BandwidthTrace {
  name: string;
  /** Beginnings of the intervals, from 0, rising. */
  startSeconds: Float64Array;
  /** What the line carries in each interval. */
  bytesPerSecond: Float64Array;
  /** What it carried before each interval began. */
  bytesBefore: Float64Array;
  periodSeconds: number;
  periodBytes: number;
}

/** A day at ten lines a second. */
const linesMax = 1_000_000;

/**
 * Reads lines of "seconds Mbps" (10^6 bits per second), separated by spaces, tabs or a comma; empty lines and lines that begin with "#" are
 * skipped. A line's rate holds until the next line's time, the last one's for as long as the one before it. Throws OperatingError
 * "bandwidth-trace-malformed" with the line's number.
 */
export function parseBandwidthTrace(name: string, text: string): BandwidthTrace {
  const malformed = (reason: string) =>
    new OperatingError("bandwidth-trace-malformed", `Cannot read bandwidth trace ${name}: ${reason}`, { source: name });
  const times: number[] = [];
  const rates: number[] = [];
  text.split("\n").forEach((raw, index) => {
    const line = raw.trim();
    if (line === "" || line.startsWith("#")) return;
    const columns = line.split(/[\s,]+/);
    const [seconds, mbps] = columns.map(Number);
    if (columns.length !== 2 || !Number.isFinite(seconds) || !Number.isFinite(mbps)) {
      throw malformed(`line ${index + 1}: "${line.slice(0, 80)}" is not "seconds Mbps"`);
    }
    if (mbps! < 0) throw malformed(`line ${index + 1}: the rate is below 0`);
    if (times.length > 0 && seconds! <= times.at(-1)!) throw malformed(`line ${index + 1}: the time is not later than the line before`);
    times.push(seconds!);
    rates.push((mbps! * 1e6) / 8);
  });
  if (times.length === 0) throw malformed("it has no line");
  if (times.length > linesMax) throw malformed(`it has more than ${linesMax} lines`);
  if (rates.every((rate) => rate === 0)) throw malformed("the line never carries anything");
  const first = times[0]!;
  const startSeconds = Float64Array.from(times, (time) => time - first);
  const last = startSeconds.at(-1)!;
  const periodSeconds = times.length === 1 ? 1 : last + (last - startSeconds.at(-2)!);
  const bytesPerSecond = Float64Array.from(rates);
  const bytesBefore = new Float64Array(times.length);
  let sum = 0;
  for (let index = 0; index < times.length; index++) {
    bytesBefore[index] = sum;
    sum += bytesPerSecond[index]! * ((startSeconds[index + 1] ?? periodSeconds) - startSeconds[index]!);
  }
  return { name, startSeconds, bytesPerSecond, bytesBefore, periodSeconds, periodBytes: sum };
}

/** Bytes that the line carries between two moments of the trace's time, from 0 on. */
export function bytesBetween(trace: BandwidthTrace, fromSeconds: number, toSeconds: number): number {
  return bytesUntil(trace, toSeconds) - bytesUntil(trace, fromSeconds);
}

/** Mean over the whole trace. */
export function meanBitsPerSecond({ periodBytes, periodSeconds }: BandwidthTrace): number {
  return (periodBytes * 8) / periodSeconds;
}

function bytesUntil(trace: BandwidthTrace, seconds: number): number {
  const rounds = Math.floor(seconds / trace.periodSeconds);
  const within = seconds - rounds * trace.periodSeconds;
  let low = 0;
  let high = trace.startSeconds.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >>> 1;
    if (trace.startSeconds[middle]! <= within) low = middle;
    else high = middle - 1;
  }
  return rounds * trace.periodBytes + trace.bytesBefore[low]! + (within - trace.startSeconds[low]!) * trace.bytesPerSecond[low]!;
}
