// Reads what a server spent from its Prometheus /metrics, for servers on another machine.
import { messageOf } from "../../runtime/operating-error.js";
import type { ServerObserver, ServerReading } from "./server-observer.js";

const fetchTimeoutMs = 3000;

/** The names that Prometheus clients agree on; disk reads have no agreed name, these are the ones met with. */
const metricNames = {
  cpuSeconds: ["process_cpu_seconds_total"],
  rssBytes: ["process_resident_memory_bytes"],
  diskReadBytes: ["millrace_disk_read_bytes_total", "process_disk_read_bytes_total"],
} as const;

export function metricsObserver(url: string): ServerObserver {
  return {
    source: "metrics",
    read: async () => {
      try {
        const response = await fetch(url, { signal: AbortSignal.timeout(fetchTimeoutMs) });
        if (!response.ok) return nothing(`${url} answered ${response.status}`);
        return readingOf(await response.text(), url);
      } catch (error) {
        const cause = error instanceof Error && error.cause instanceof Error ? `: ${error.cause.message}` : "";
        return nothing(`${url} could not be read: ${messageOf(error)}${cause}`);
      }
    },
  };
}

function nothing(reason: string): ServerReading {
  return {
    cpuSeconds: null,
    rssBytes: null,
    diskReadBytes: null,
    missing: { cpuSeconds: reason, rssBytes: reason, diskReadBytes: reason },
  };
}

/** The figures in a text in Prometheus' exposition format; `source` stands for it in reasons. */
export function readingOf(text: string, source: string): ServerReading {
  const reading = nothing("");
  reading.missing = {};
  for (const [figure, names] of Object.entries(metricNames) as [keyof typeof metricNames, readonly string[]][]) {
    for (const name of names) reading[figure] ??= sumOfSamples(text, name);
    if (reading[figure] === null) reading.missing[figure] = `${source} has no ${names.join(" or ")}`;
  }
  return reading;
}

/** The sum over all label sets of metric `name`; null when there is no sample. */
export function sumOfSamples(text: string, name: string): number | null {
  let sum: number | null = null;
  for (const line of text.split("\n")) {
    if (!line.startsWith(name)) continue;
    const match = /^[a-zA-Z_:][\w:]*(?:\{.*\})?\s+(\S+)/.exec(line);
    if (match === null || (line[name.length] !== "{" && line[name.length] !== " ")) continue;
    const value = Number(match[1]);
    if (Number.isFinite(value)) sum = (sum ?? 0) + value;
  }
  return sum;
}
