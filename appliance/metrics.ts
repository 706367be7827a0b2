// What /metrics of an appliance tells: sums of the threads' counters, and the state of memory and disks.
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry, type MetricType } from "prom-client";
import { counterPlace, counterRow, counterTable, sumCounter, type CounterName } from "./counters.js";
import { diskStates, type DiskSet } from "./disk/disk-set.js";
import type { DiskMonitor } from "./disk/disk-monitor.js";
import type { SessionCounter } from "./serve/session-counter.js";
import type { ManifestKept } from "./fill-messages.js";
import { fillStates, type FillProgress } from "./fill-messages.js";
import type { FrameArena } from "./memory/frame-arena.js";
import { loopDelayBoundsMs, readVitals, type Vitals } from "./thread-vitals.js";

/** Rows of the counters that go up and down. */
const gauges: ReadonlySet<CounterName> = new Set<CounterName>(["underWay", "fillRequestsUnderWay"]);

type CounterRow = { name: string; labels?: Record<string, string>; help?: string };

export interface ApplianceMetricsOptions {
  arena: FrameArena;
  counters: SharedArrayBuffer;
  vitals: SharedArrayBuffer;
  workers: number;
  disks: DiskSet;
  /** Undefined before the first manifest. */
  fillProgress: () => FillProgress | undefined;
  monitor: DiskMonitor;
  sessions: SessionCounter;
  /** What of the manifest is kept; undefined before there is one. */
  manifestKept: () => ManifestKept | undefined;
}

/** A registry that reads everything anew at each scrape. */
export function openApplianceMetrics({
  arena,
  counters,
  vitals,
  workers,
  disks,
  fillProgress,
  monitor,
  sessions,
  manifestKept,
}: ApplianceMetricsOptions): Registry {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });

  const rows = (Object.entries(counterTable) as [CounterName, CounterRow][]).filter(([name]) => !gauges.has(name));
  const families = new Map<string, typeof rows>();
  for (const row of rows) families.set(row[1].name, [...(families.get(row[1].name) ?? []), row]);
  for (const [name, members] of families) {
    const counter = new Counter({
      name,
      help: members[0]![1].help ?? name,
      labelNames: [...new Set(members.flatMap(([, { labels }]) => Object.keys(labels ?? {})))],
      registers: [],
      collect() {
        this.reset();
        for (const [row, { labels }] of members) this.inc(labels ?? {}, sumCounter(counters, row));
      },
    });
    registry.registerMetric(counter);
  }

  const gauge = (configuration: ConstructorParameters<typeof Gauge>[0]) =>
    registry.registerMetric(new Gauge({ ...configuration, registers: [] }));
  gauge({
    name: "millrace_responses_under_way",
    help: "Responses that have begun and are not done. It stays high: clients are slow, or upstreams are.",
    collect() {
      this.set(sumCounter(counters, "underWay"));
    },
  });
  const eachWorker = Array.from({ length: workers }, (_, worker) => worker);
  const perWorker = (name: string, help: string, read: (worker: number) => number) =>
    gauge({
      name,
      help,
      labelNames: ["worker"],
      collect() {
        for (const worker of eachWorker) this.set({ worker }, read(worker));
      },
    });
  registry.registerMetric(loopDelayHistogram(() => eachWorker.map((worker) => readVitals(vitals, worker))));
  perWorker(
    "millrace_worker_requests",
    "Requests that each serving worker received since the start. Very uneven over many clients: connections are not spread.",
    (worker) => counterRow(counters, worker)[counterPlace.requests]!,
  );
  perWorker(
    "millrace_worker_heap_used_bytes",
    "What is in use of a serving worker's JavaScript heap, with garbage.",
    (worker) => readVitals(vitals, worker).heapUsedBytes,
  );
  perWorker(
    "millrace_worker_heap_total_bytes",
    "What a serving worker's JavaScript heap has taken from the system.",
    (worker) => readVitals(vitals, worker).heapTotalBytes,
  );
  gauge({
    name: "millrace_sessions",
    help: "Playbacks that have asked for something within the last 30 to 60 s, as far as tokens or CMCD name them; an estimate.",
    collect() {
      this.set(sessions.count());
    },
  });
  gauge({
    name: "millrace_fill_requests_under_way",
    help: "Responses under way to other appliances that fill from this one. At its limit they are sent to other sources.",
    collect() {
      this.set(sumCounter(counters, "fillRequestsUnderWay"));
    },
  });
  const ofFill = (name: string, help: string, read: (progress: FillProgress) => number) =>
    gauge({
      name,
      help,
      collect() {
        const progress = fillProgress();
        if (progress) this.set(read(progress));
      },
    });
  ofFill("millrace_fill_manifest_bytes", "Bytes of the objects that the manifest names.", ({ bytes }) => bytes);
  ofFill(
    "millrace_fill_manifest_held_bytes",
    "Of these, what is held. It stays behind: look at `millrace fill status`.",
    ({ bytesHeld }) => bytesHeld,
  );
  ofFill("millrace_fill_waiting_objects", "Objects of the manifest for which no source may be asked yet.", ({ waiting }) => waiting);
  gauge({
    name: "millrace_fill_state",
    help: "1 for the state that the fill of the manifest is in.",
    labelNames: ["state"],
    collect() {
      const progress = fillProgress();
      for (const state of fillStates) this.set({ state }, progress?.state === state ? 1 : 0);
    },
  });
  const perSource = (name: string, help: string, read: (source: FillProgress["sources"][number]) => number) =>
    gauge({
      name,
      help,
      labelNames: ["source"],
      collect() {
        this.reset();
        for (const source of fillProgress()?.sources ?? []) this.set({ source: source.source }, read(source));
      },
    });
  perSource("millrace_fill_source_bytes", "Bytes that a source has given since the start.", ({ bytes }) => bytes);
  perSource("millrace_fill_source_failures", "Fetches that a source has failed since the start.", ({ failures }) => failures);
  perSource(
    "millrace_fill_source_lies",
    "Answers of a source with wrong bytes, too few, or of another range. Not 0: it alters data; take it out.",
    ({ lies }) => lies,
  );
  perSource("millrace_fill_source_paused", "1 while a source is not asked because of what it did.", ({ pausedForMs }) =>
    Number(pausedForMs > 0),
  );
  gauge({
    name: "millrace_frames",
    help: "Frames of memory by use. pinned close to the sum of the others: give the appliance more ram.",
    labelNames: ["use"],
    collect() {
      const { free, small, main, pinned } = arena.counts();
      for (const [use, count] of Object.entries({ free, small, main, pinned })) this.set({ use }, count);
    },
  });
  gauge({
    name: "millrace_memory_blocks",
    help: "Blocks of memory, of one full chunk each, by the size of the frames that they are cut into. It follows what is asked for.",
    labelNames: ["frame_bytes"],
    collect() {
      for (const { frameBytes, blocks } of arena.counts().sizes) this.set({ frame_bytes: String(frameBytes) }, blocks);
    },
  });
  gauge({
    name: "millrace_disk_state",
    help: "1 for the state that a disk is in. suspect: it is slow or failing, and comes back by itself when it is well. offline: replace it.",
    labelNames: ["disk", "state"],
    collect() {
      for (const { diskNumber, path } of disks.disks) {
        for (const state of diskStates) this.set({ disk: path, state }, disks.stateOf(diskNumber) === state ? 1 : 0);
      }
    },
  });
  const perDisk = (name: string, help: string, read: (disk: (typeof disks.disks)[number]) => number) =>
    gauge({
      name,
      help,
      labelNames: ["disk"],
      collect() {
        for (const disk of disks.disks) this.set({ disk: disk.path }, read(disk));
      },
    });
  perDisk("millrace_disk_capacity_bytes", "What a disk may hold, by its setting.", ({ capacityBytes }) => capacityBytes);
  perDisk("millrace_disk_used_bytes", "Slots in use on a disk.", ({ diskNumber }) => disks.usedBytesOf(diskNumber));
  perDisk("millrace_disk_chunks", "Chunks on a disk.", ({ diskNumber }) => disks.usedSlotsOf(diskNumber));
  perDisk(
    "millrace_disk_kept_bytes",
    "Slots of a disk that hold what the manifest names; the rest of the used ones may be evicted.",
    ({ diskNumber }) => disks.keptBytesOf(diskNumber),
  );
  perDisk(
    "millrace_disk_bad_slots",
    "Slots of a disk that did not hold their chunks since the start. Five in ten seconds make it suspect, fifty in an hour offline: replace it.",
    ({ diskNumber }) => disks.badSlotsOf(diskNumber),
  );
  perDisk("millrace_disk_errors", "Errors of a disk since the start.", ({ diskNumber }) => disks.errorsOf(diskNumber));
  perDisk("millrace_disk_late_reads", "Reads of a disk that missed their deadline; they were answered from upstream.", ({ diskNumber }) =>
    disks.lateReadsOf(diskNumber),
  );
  perDisk("millrace_disk_reads", "Reads of a disk that have ended since the start, in time or not.", ({ diskNumber }) =>
    disks.readTimesOf(diskNumber).reduce((sum, count) => sum + count, 0),
  );
  perDisk(
    "millrace_disk_hanging_reads",
    "Reads of a disk that were given up and have not ended yet; each holds a frame and a thread.",
    ({ diskNumber }) => disks.hangingOf(diskNumber),
  );
  perDisk(
    "millrace_disk_read_p99_seconds",
    "Read p99 of a disk over the last ten seconds.",
    ({ diskNumber }) => (monitor.healthOf(diskNumber).readP99Ms ?? 0) / 1000,
  );
  perDisk(
    "millrace_disk_falls",
    "How often a disk left the state online since the start.",
    ({ diskNumber }) => monitor.healthOf(diskNumber).falls,
  );
  perDisk("millrace_disk_full", "1 while the file system has no room for what the disk may hold by its setting.", ({ diskNumber }) =>
    disks.isFull(diskNumber) ? 1 : 0,
  );
  perDisk(
    "millrace_disk_scrubbed_slots",
    "Slots that were read and checked in the background since the start.",
    ({ diskNumber }) => disks.scrubbedOf(diskNumber).slots,
  );
  perDisk(
    "millrace_disk_scrub_findings",
    "Slots that the background check found bad; they were dropped. More than a few: the disk alters data; retire it.",
    ({ diskNumber }) => disks.scrubbedOf(diskNumber).findings,
  );
  gauge({
    name: "millrace_manifest_cut_bytes",
    help: "What the manifest names and the disks have no room for, beside their share for requests. Not 0: give the appliance more disks, or a smaller manifest.",
    collect() {
      this.set(manifestKept()?.bytesCut ?? 0);
    },
  });
  return registry;
}

/** The library's histogram counts in this thread; ours is counted by the workers, and only told here. */
function loopDelayHistogram(read: () => Vitals[]): Histogram<"worker"> {
  const name = "millrace_event_loop_delay_seconds";
  const help =
    "How long an event waits in a serving worker, measured a hundred times a second. Above 5 ms: the worker has too much to do; add workers.";
  const histogram = new Histogram({ name, help, labelNames: ["worker"], registers: [] });
  const get = async () => ({
    name,
    help,
    // The library has this enum in its types only.
    type: "histogram" as unknown as MetricType,
    collect: () => {},
    aggregator: "sum",
    values: read().flatMap(({ delayCounts, delaySumMs }, worker) => {
      let count = 0;
      const buckets = delayCounts.map((own, at) => {
        count += own;
        const boundMs = loopDelayBoundsMs[at];
        return { labels: { worker, le: boundMs === undefined ? "+Inf" : boundMs / 1000 }, value: count, metricName: `${name}_bucket` };
      });
      return [
        ...buckets,
        { labels: { worker }, value: delaySumMs / 1000, metricName: `${name}_sum` },
        { labels: { worker }, value: count, metricName: `${name}_count` },
      ];
    }),
  });
  // The first is what it tells in JSON, the second in text.
  return Object.assign(histogram, { get, getForPromString: get });
}
