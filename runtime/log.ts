// The log of one process: JSON lines on standard error, one per change of state.
import { pino, type Logger } from "pino";

export type Log = Logger;

export const logLevels = ["debug", "info", "warn", "error", "silent"] as const;
export type LogLevel = (typeof logLevels)[number];

/** A log whose lines carry `process`: "appliance", "control-plane", … Standard output stays free for answers. */
export function openLog(process: string, level: LogLevel = "info"): Log {
  return pino({ level, base: { process }, timestamp: pino.stdTimeFunctions.isoTime }, pino.destination({ dest: 2, sync: true }));
}
