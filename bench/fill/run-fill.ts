// The fill bench: how fast a manifest comes to disk, what a crowd before a cold object costs, and what filling costs those who are served.
import { once } from "node:events";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { Agent, type Dispatcher } from "undici";
import { OperatingError } from "../../runtime/operating-error.js";
import { packageRoot } from "../../runtime/package-root.js";
import { freePort, startServer } from "../peers/server-process.js";
import { openManifestServer, type ManifestServer } from "./manifest-server.js";
import type { FillSourceData, FillSourceReady } from "./fill-source.js";

export interface FillBenchOptions {
  /** What is filled, in objects of `objectBytes`. */
  objects: number;
  objectBytes: number;
  pieceBytes: number;
  clients: number;
  /** Times that the crowd comes; each time to another cold object. */
  crowds: number;
  /** The far source's. */
  delayMs: number;
  bytesPerSecond: number;
  /** Requests a second to what is in memory, for the p99 with and without fill. */
  servedPerSecond: number;
  servedSeconds: number;
  manifestFetches: number;
  /** Processor list for taskset; null: unpinned. */
  cores: string | null;
}

export interface FillBenchResult {
  fill: { bytes: number; seconds: number; bytesPerSecond: number; processorSecondsPerGigabyte: number };
  crowd: {
    clients: number;
    chunks: number;
    /** Of each crowd. */
    fetchesPerChunk: number[];
    upstreamFirstByteMs: number;
    firstByteMedianMs: number;
    firstByteP99Ms: number;
    /** Median over the upstream's. */
    ratio: number;
  };
  served: { idleP50Ms: number; idleP99Ms: number; fillingP50Ms: number; fillingP99Ms: number; ratioP99: number; requests: number };
}

const fillTimeoutMs = 600_000;
const servedBytes = 65_536;
/** What each client of a crowd reads: the start of a film, and not so much that the crowd's own reading is what is measured. */
const crowdBytes = 4 * 2 ** 20;
/** A look costs the appliance milliseconds of the core that is measured. */
const pollMs = 250;

/** @throws OperatingError when a server does not start, or the fill does not end within ten minutes. */
export async function runFillBench(options: FillBenchOptions, say: (text: string) => void): Promise<FillBenchResult> {
  const folder = await mkdtemp(join(tmpdir(), "millrace-bench-fill-"));
  const ends: (() => Promise<unknown> | void)[] = [() => rm(folder, { recursive: true, force: true })];
  try {
    const { objects, objectBytes, pieceBytes, crowds, delayMs, bytesPerSecond } = options;
    // Two sets: one for the fill alone, and one that is filled while others are served.
    const workerData: FillSourceData = { fast: 2 * objects, far: crowds, objectBytes, pieceBytes, delayMs, bytesPerSecond };
    const worker = new Worker(new URL("fill-source.js", import.meta.url), { workerData });
    ends.push(() => worker.terminate());
    const [source] = (await once(worker, "message")) as [FillSourceReady];
    const controlPlane = await openManifestServer();
    ends.push(() => controlPlane.close());
    const appliance = await startAppliance(folder, source.url, controlPlane.url, options);
    ends.push(() => appliance.stop());
    const agent = new Agent({ connections: 256, pipelining: 1 });
    ends.push(() => agent.destroy());
    const first = source.objects.slice(0, objects);
    const second = source.objects.slice(objects, 2 * objects);

    say("filling");
    const fill = await measureFill(appliance, controlPlane, first);
    say("a crowd before a cold object");
    const crowd = await measureCrowds(appliance.url, source, worker, agent, options);
    say("serving, without and with fill");
    const hot = first[0]!.path;
    await serve(appliance.url, hot, agent, { ...options, servedSeconds: 1 });
    const idle = await serve(appliance.url, hot, agent, options);
    controlPlane.setManifest([...first, ...second]);
    await waitFor(
      "the second fill begins",
      () => heldBytesOf(appliance.adminUrl),
      (held) => held > objects * objectBytes,
    );
    const filling = await serve(appliance.url, hot, agent, options);
    const served = {
      idleP50Ms: quantile(idle, 0.5),
      idleP99Ms: quantile(idle, 0.99),
      fillingP50Ms: quantile(filling, 0.5),
      fillingP99Ms: quantile(filling, 0.99),
      ratioP99: round(quantile(filling, 0.99) / quantile(idle, 0.99)),
      requests: idle.length + filling.length,
    };
    return { fill, crowd, served };
  } finally {
    for (const end of ends.toReversed()) await end();
  }
}

interface BenchAppliance {
  url: string;
  adminUrl: string;
  pid: number;
  stop(): Promise<void>;
}

async function startAppliance(folder: string, upstream: string, controlPlane: string, options: FillBenchOptions): Promise<BenchAppliance> {
  const [port, adminPort] = [await freePort(), await freePort()];
  await mkdir(join(folder, "disk"));
  const capacityBytes = (2 * options.objects + options.crowds + 2) * options.objectBytes * 1.2;
  const file = join(folder, "appliance.yaml");
  const settings = {
    listen: { port },
    admin: { port: adminPort },
    workers: 1,
    ram: 512 * 2 ** 20,
    index: join(folder, "index"),
    disks: [{ path: join(folder, "disk"), size: Math.ceil(capacityBytes) }],
    upstreams: [{ url: upstream }],
    controlPlane: { url: controlPlane },
    fill: { manifestFetches: options.manifestFetches },
    log: { level: "warn" },
  };
  // JSON is YAML.
  await writeFile(file, JSON.stringify(settings));
  const adminUrl = `http://127.0.0.1:${adminPort}/`;
  const server = await startServer({
    name: "the appliance",
    command: process.execPath,
    arguments: [join(packageRoot, "cli/millrace.cjs"), "appliance", "--config", file],
    cores: options.cores,
    ready: async () =>
      fetch(`${adminUrl}readyz`).then(
        ({ ok }) => ok,
        () => false,
      ),
  });
  return { ...server, url: `http://127.0.0.1:${port}/`, adminUrl };
}

/** From the first byte that is held to the last: what is held is verified and on the disk. */
async function measureFill(
  appliance: BenchAppliance,
  controlPlane: ManifestServer,
  objects: FillSourceReady["objects"],
): Promise<FillBenchResult["fill"]> {
  const wanted = objects.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  controlPlane.setManifest(objects);
  // The manifest comes with a heartbeat: what is measured begins with the first fetch.
  await waitFor(
    "the fill begins",
    () => fetchedBytesOf(appliance.adminUrl),
    (bytes) => bytes > 0,
  );
  const [startMs, startBytes, startProcessor] = [
    performance.now(),
    await fetchedBytesOf(appliance.adminUrl),
    processorSecondsOf(appliance.pid),
  ];
  await waitFor(
    "the manifest is held",
    () => storedBytesOf(appliance.adminUrl),
    (bytes) => bytes >= wanted,
  );
  const seconds = (performance.now() - startMs) / 1000;
  const bytes = wanted - startBytes;
  const processorSeconds = processorSecondsOf(appliance.pid) - startProcessor;
  return {
    bytes,
    seconds: round(seconds),
    bytesPerSecond: Math.round(bytes / seconds),
    processorSecondsPerGigabyte: round(processorSeconds / (bytes / 1e9)),
  };
}

async function measureCrowds(
  url: string,
  source: FillSourceReady,
  worker: Worker,
  agent: Dispatcher,
  { clients, crowds }: FillBenchOptions,
): Promise<FillBenchResult["crowd"]> {
  const upstream: number[] = [];
  const firstBytes: number[] = [];
  for (let crowd = 0; crowd < crowds; crowd++) {
    const path = `far-${crowd}.bin`;
    for (let count = 0; count < 3; count++) upstream.push(await firstByteMs(agent, source.url, path, { range: "bytes=0-65535" }));
    // Only the chunks are counted: what an object is has been asked before.
    await (await fetch(`${url}${path}`, { method: "HEAD" })).arrayBuffer();
    firstBytes.push(
      ...(await Promise.all(Array.from({ length: clients }, () => firstByteMs(agent, url, path, { range: `bytes=0-${crowdBytes - 1}` })))),
    );
  }
  worker.postMessage("asked");
  const [asked] = (await once(worker, "message")) as [Map<string, number>];
  const chunks = crowdBytes / 2 ** 20;
  const upstreamFirstByteMs = quantile(upstream, 0.5);
  return {
    clients,
    chunks,
    fetchesPerChunk: Array.from({ length: crowds }, (_, crowd) => round(((asked.get(`/far-${crowd}.bin`) ?? 0) - 3) / chunks)),
    upstreamFirstByteMs,
    firstByteMedianMs: quantile(firstBytes, 0.5),
    firstByteP99Ms: quantile(firstBytes, 0.99),
    ratio: round(quantile(firstBytes, 0.5) / upstreamFirstByteMs),
  };
}

/** Reads a body to its end; the answer is when its first byte came. */
function firstByteMs(agent: Dispatcher, base: string, path: string, headers: Record<string, string>): Promise<number> {
  const startMs = performance.now();
  let cameMs: number | undefined;
  return new Promise((resolve, reject) => {
    agent.dispatch(
      { origin: new URL(base).origin, path: `/${path}`, method: "GET", headers },
      {
        onRequestStart: () => {},
        onResponseStart: () => {},
        onResponseData: () => {
          cameMs ??= performance.now();
        },
        onResponseEnd: () => resolve((cameMs ?? performance.now()) - startMs),
        onResponseError: (_controller, error) => reject(error),
      },
    );
  });
}

/** Times of requests that begin at a fixed rate, whether the ones before are done or not: waiting in the queue counts. */
async function serve(url: string, path: string, agent: Dispatcher, options: FillBenchOptions): Promise<number[]> {
  const { servedPerSecond, servedSeconds, objectBytes } = options;
  const count = servedPerSecond * servedSeconds;
  const startMs = performance.now();
  const running: Promise<number>[] = [];
  for (let sent = 0; sent < count; sent++) {
    const dueMs = startMs + (sent * 1000) / servedPerSecond;
    if (dueMs > performance.now()) await wait(dueMs - performance.now());
    const first = (sent * servedBytes) % (objectBytes - servedBytes);
    const range = `bytes=${first}-${first + servedBytes - 1}`;
    running.push(readAll(agent, url, path, range).then(() => performance.now() - dueMs));
  }
  return Promise.all(running);
}

async function readAll(agent: Dispatcher, base: string, path: string, range: string): Promise<void> {
  const { statusCode, body } = await agent.request({ origin: new URL(base).origin, path: `/${path}`, method: "GET", headers: { range } });
  const bytes = (await body.arrayBuffer()).byteLength;
  if (statusCode !== 206 || bytes !== servedBytes)
    throw new OperatingError("bench-failed", `Cannot measure: ${range} of ${path} was answered with ${statusCode} and ${bytes} bytes`);
}

async function waitFor(what: string, read: () => Promise<number>, isSo: (value: number) => boolean): Promise<void> {
  const endMs = performance.now() + fillTimeoutMs;
  while (!isSo(await read())) {
    if (performance.now() > endMs)
      throw new OperatingError("bench-failed", `Cannot measure: waited ${fillTimeoutMs / 1000} s until ${what}`);
    await wait(pollMs);
  }
}

async function metricOf(adminUrl: string, name: string): Promise<number> {
  const text = await (await fetch(`${adminUrl}metrics`)).text();
  return Number(
    text
      .split("\n")
      .find((line) => line.startsWith(`${name} `))
      ?.slice(name.length + 1) ?? 0,
  );
}

const fetchedBytesOf = (adminUrl: string) => metricOf(adminUrl, "millrace_fill_fetched_bytes_total");
const storedBytesOf = async (adminUrl: string) => (await metricOf(adminUrl, "millrace_fill_stored_chunks_total")) * 2 ** 20;
const heldBytesOf = storedBytesOf;

/** User and system time of a process with all its threads. */
function processorSecondsOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8")
    .replace(/^.*\) /s, "")
    .split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]!);
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
