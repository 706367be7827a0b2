// The middle and the spread of the figures of several rounds.
import { sumOfErrors, type Figures, type Medians, type Round, type Spread } from "./bench-result.js";

export function mediansOf(rounds: readonly Round[]): Medians {
  const spread = (figure: (figures: Figures) => number | null | undefined) => spreadOf(rounds.map((round) => figure(round.total)));
  const verified = rounds.flatMap((round) => (round.total.verified === null ? [] : [round.total.verified.wrongBytes]));
  return {
    requestsPerSecond: spread((figures) => figures.requestsPerSecond),
    bytesPerSecond: spread((figures) => figures.bytesPerSecond),
    ttfbP50: spread((figures) => figures.ttfb?.p50),
    ttfbP99: spread((figures) => figures.ttfb?.p99),
    responseP50: spread((figures) => figures.response?.p50),
    responseP99: spread((figures) => figures.response?.p99),
    responseP999: spread((figures) => figures.response?.p999),
    cpuSecondsPerGigabyte: spread((figures) => figures.server.cpuSecondsPerGigabyte),
    cpuMicrosecondsPerRequest: spread((figures) => figures.server.cpuMicrosecondsPerRequest),
    rssBytes: spread((figures) => figures.server.rssBytes),
    diskReadBytes: spread((figures) => figures.server.diskReadBytes),
    errors: rounds.reduce((sum, round) => sum + sumOfErrors(round.total.errors), 0),
    wrongBytes: verified.length === 0 ? null : verified.reduce((sum, bytes) => sum + bytes, 0),
  };
}

/** Null when no value is known. The median of an even count is the mean of the middle two. */
export function spreadOf(values: readonly (number | null | undefined)[]): Spread | null {
  const known = values.filter((value) => value !== null && value !== undefined).sort((a, b) => a - b);
  if (known.length === 0) return null;
  const middle = known.length / 2;
  const median = known.length % 2 === 1 ? known[Math.floor(middle)]! : (known[middle - 1]! + known[middle]!) / 2;
  return { median, min: known[0]!, max: known.at(-1)! };
}
