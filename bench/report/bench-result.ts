// What one run of the bench leaves behind: the JSON that `--json` prints, that bench/results/ holds, and that tables, pages and comparisons read.

/** Raised when a field changes its meaning; readers refuse a version they don't know. */
export const benchResultSchema = 1;

export interface BenchResult {
  schema: typeof benchResultSchema;
  tool: "millrace bench";
  /** What was asked for: one workload (or the canonical set) on one server, peers side by side, the generator itself. */
  kind: "workload" | "peers" | "generator";
  startedAt: string;
  finishedAt: string;
  /** False when the run was interrupted: what is here was measured, the rest is missing. */
  complete: boolean;
  machine: MachineFacts;
  /** The commit of the tree the bench ran from; null outside a git work tree. */
  commit: { hash: string; dirty: boolean } | null;
  /** The command's arguments as typed. */
  arguments: string[];
  /** What a reader must know to read the figures: a saturated generator, shared cores, a peer without TLS. */
  notes: string[];
  subjects: Subject[];
  runs: WorkloadRun[];
  /** One sentence, and whether the run found nothing wrong (no failed request, no wrong byte). */
  verdict: { ok: boolean; text: string };
}

export interface MachineFacts {
  cpuModel: string;
  cores: number;
  memoryBytes: number;
  kernel: string;
  node: string;
  /** One-minute load average when the run started: other work makes figures noisy. */
  loadAverageAtStart: number;
}

/** One server under test. */
export interface Subject {
  name: string;
  /** As the server itself says it ("nginx/1.22.1"); null when it does not. */
  version: string | null;
  /** Why this subject has no runs: not installed, not built, cannot do TLS. Null when it ran. */
  missing: string | null;
}

/** All rounds of one workload on one subject. */
export interface WorkloadRun {
  subject: string;
  scheme: "http" | "https";
  workload: WorkloadFacts;
  /** Which program sent the requests, with its version. */
  generator: string;
  rounds: Round[];
  /** Of each figure the median over the rounds that have it, and the spread. Null where no round has the figure. */
  medians: Medians;
}

export interface WorkloadFacts {
  name: string;
  title: string;
  /** The flags the name stands for: the same run can be had by giving them. */
  flags: Record<string, string | number | boolean>;
}

export interface Round {
  startedAt: string;
  /** Everything between the end of the warm-up and the end of the run. */
  total: Figures;
  /** The parts of the round before and after an event (`--at 50% --run CMD`); empty where there was none. */
  phases: (Figures & { name: string })[];
  /** One entry per second of the run. */
  timeline: TimelinePoint[];
  /** The second load of fill-while-serving, beside the one that is reported; null where there is none. */
  background: Figures | null;
}

export interface Figures {
  seconds: number;
  /** Responses that came whole and were right in status, length and, where verified, bytes. */
  requests: number;
  bodyBytes: number;
  requestsPerSecond: number;
  bytesPerSecond: number;
  /** From the (intended) send time to the first byte of the response. Null when nothing was answered or the generator can't tell. */
  ttfb: Latency | null;
  /** From the (intended) send time to the last byte of the body. Null when nothing was answered. */
  response: Latency | null;
  errors: ErrorCounts;
  /** Body bytes that were compared with what they should be, and how many differed. Null when nothing was verified. */
  verified: { bytes: number; wrongBytes: number } | null;
  server: ServerFigures;
  /**
   * Share of this machine's processor time, 0 to 1, that neither the server nor the generator used: other programs, and interrupts. Null where
   * the server's part is not known or the machine doesn't tell.
   */
  otherCpuShare: number | null;
  /** The generator's own processor time (null for wrk), and how late it sent requests that were free to go (open loop only). */
  generator: { cpuSeconds: number | null; sendLag: Latency | null };
}

/** Milliseconds. */
export interface Latency {
  count: number;
  mean: number;
  p50: number;
  p90: number;
  p99: number;
  p999: number;
  max: number;
  /** The whole HDR histogram in microseconds, V2 compressed base64: can be merged and plotted. */
  histogram?: string;
}

/** Kinds of failed requests. A status is counted as "status-503" and so on. */
export const errorKinds = {
  refused: "the server's port did not accept a connection",
  unreachable: "no way to the host: no route, name not found, or no answer to a connection",
  reset: "the connection broke before the response was whole",
  timeout: "no whole response within the time limit",
  "bad-certificate": "the TLS certificate could not be verified",
  "tls-failed": "the TLS handshake failed for another reason than the certificate",
  // libuv reports a reset that follows data as an end in order, so that some resets are counted here.
  "short-body": "the connection closed before the announced length",
  "bad-framing": "what came is not an HTTP/1.1 response, or bytes came that nobody asked for",
  "wrong-length": "the announced length is not that of the range asked for",
  "wrong-range": "Content-Range is missing or is not the range asked for",
  "wrong-bytes": "the body differs from what it should be",
  unsent: "due in the open loop, but no connection became free until long after the end",
} as const satisfies Record<string, string>;
export type NamedErrorKind = keyof typeof errorKinds;
export type ErrorKind = NamedErrorKind | `status-${number}`;
/** Only kinds that happened are present. */
export type ErrorCounts = Partial<Record<ErrorKind, number>>;

export function sumOfErrors(errors: ErrorCounts): number {
  let sum = 0;
  for (const count of Object.values(errors)) sum += count ?? 0;
  return sum;
}

/** What the server spent. A figure is null when it could not be had; `missing` then says why, by the figure's name. */
export interface ServerFigures {
  source: "proc" | "metrics" | "none";
  cpuSeconds: number | null;
  cpuSecondsPerGigabyte: number | null;
  cpuMicrosecondsPerRequest: number | null;
  /** The largest seen; memory that processes share is counted in each. */
  rssBytes: number | null;
  diskReadBytes: number | null;
  missing: Partial<Record<"cpuSeconds" | "rssBytes" | "diskReadBytes", string>>;
}

export interface TimelinePoint {
  /** End of this second, counted from the start of the measured part. */
  second: number;
  requests: number;
  bodyBytes: number;
  errors: number;
  ttfbP99: number | null;
  responseP99: number | null;
}

export interface Spread {
  median: number;
  min: number;
  max: number;
}

export interface Medians {
  requestsPerSecond: Spread | null;
  bytesPerSecond: Spread | null;
  ttfbP50: Spread | null;
  ttfbP99: Spread | null;
  responseP50: Spread | null;
  responseP99: Spread | null;
  responseP999: Spread | null;
  cpuSecondsPerGigabyte: Spread | null;
  cpuMicrosecondsPerRequest: Spread | null;
  rssBytes: Spread | null;
  diskReadBytes: Spread | null;
  /** Failed requests of all rounds, all kinds. */
  errors: number;
  wrongBytes: number | null;
}
