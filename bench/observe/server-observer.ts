// What a server has spent so far, as seen from outside: the interface, and the figures between two readings.
import type { ServerFigures } from "../report/bench-result.js";

export interface ServerReading {
  cpuSeconds: number | null;
  rssBytes: number | null;
  diskReadBytes: number | null;
  /** Why a figure is null, by its name. */
  missing: ServerFigures["missing"];
}

export interface ServerObserver {
  readonly source: ServerFigures["source"];
  /** Never rejects: what can't be read is null with a reason. */
  read(): Promise<ServerReading>;
}

/** For a server that can't be looked into: every figure is null for `reason`. */
export function blindObserver(reason: string): ServerObserver {
  return {
    source: "none",
    read: async () => ({
      cpuSeconds: null,
      rssBytes: null,
      diskReadBytes: null,
      missing: { cpuSeconds: reason, rssBytes: reason, diskReadBytes: reason },
    }),
  };
}

const fellReason = "the counter fell during the run: the server was restarted or a process of it ended";

/** The server's figures for the work done between two readings. */
export function serverFiguresBetween(
  source: ServerFigures["source"],
  readings: { before: ServerReading; after: ServerReading },
  work: { requests: number; bodyBytes: number },
): ServerFigures {
  const { before, after } = readings;
  const missing: ServerFigures["missing"] = { ...before.missing, ...after.missing };
  const spent = (name: "cpuSeconds" | "diskReadBytes") => {
    const [from, to] = [before[name], after[name]];
    if (from === null || to === null) return null;
    if (to >= from) return to - from;
    missing[name] = fellReason;
    return null;
  };
  const cpuSeconds = spent("cpuSeconds");
  return {
    source,
    cpuSeconds,
    cpuSecondsPerGigabyte: cpuSeconds === null || work.bodyBytes === 0 ? null : cpuSeconds / (work.bodyBytes / 1e9),
    cpuMicrosecondsPerRequest: cpuSeconds === null || work.requests === 0 ? null : (cpuSeconds * 1e6) / work.requests,
    rssBytes: after.rssBytes === null ? before.rssBytes : Math.max(after.rssBytes, before.rssBytes ?? 0),
    diskReadBytes: spent("diskReadBytes"),
    missing,
  };
}
