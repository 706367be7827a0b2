// Measures steering: a fleet is made up in process, then a control plane is started beside and asked over gRPC at a fixed rate.
import { fork } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { credentials } from "@grpc/grpc-js";
import Table from "cli-table3";
import { build as buildHistogram } from "hdr-histogram-js";
import { stringify } from "yaml";
import { parsePrefix } from "../../control-plane/steering/client-address.js";
import { MadeUpFleet } from "../../control-plane/steering/made-up-fleet.js";
import { SteeringServiceClient } from "../../control-plane/protocol/generated/millrace/steering/v1/steering.js";
import { FillServiceClient } from "../../fill-protocol/generated/millrace/fill/v1/fill.js";
import { ApplianceRole, ApplianceState, FleetServiceClient } from "../../fill-protocol/generated/millrace/fleet/v1/fleet.js";
import { systemClock } from "../../runtime/clock.js";
import { OperatingError } from "../../runtime/operating-error.js";
import { packageRoot, packageVersion } from "../../runtime/package-root.js";

export interface SteeringBenchOptions {
  appliances: number;
  titles: number;
  prefixes: number;
  seconds: number;
  rate: number;
  json?: true;
  out?: string;
}

const siteCount = 50;
const nominalBitsPerSecond = 5_000_000;
/** Decisions between two looks at the clock. */
const batch = 1000;

export async function measureSteering(options: SteeringBenchOptions): Promise<void> {
  const result = {
    version: packageVersion,
    node: process.version,
    processor: cpus()[0]?.model ?? "unknown",
    at: new Date().toISOString(),
    appliances: options.appliances,
    sites: siteCount,
    titles: options.titles,
    inProcess: measureInProcess(options),
    grpc: await measureGrpc(options),
  };
  const json = `${JSON.stringify(result, null, 2)}\n`;
  if (options.out !== undefined) writeFileSync(options.out, json);
  if (options.json) {
    process.stdout.write(json);
    return;
  }
  const { inProcess, grpc } = result;
  const perSecond = (value: number) => `${Math.round(value).toLocaleString("en")} /s`;
  const table = new Table({ head: ["what", "figure"], style: { head: [], border: [] } });
  table.push(
    [`decisions, one core, ${options.appliances} appliances`, perSecond(inProcess.decisionsPerSecond)],
    ["decisions that reserve", perSecond(inProcess.reservingDecisionsPerSecond)],
    [`prefix lookups over ${inProcess.prefixes.toLocaleString("en")}`, perSecond(inProcess.lookupsPerSecond)],
    ["prefixes, memory", `${(inProcess.prefixBytes / 2 ** 20).toFixed(0)} MiB`],
    [`gRPC at ${options.rate} /s: p50, p99, max`, `${grpc.p50Ms.toFixed(2)}, ${grpc.p99Ms.toFixed(2)}, ${grpc.maxMs.toFixed(2)} ms`],
    ["gRPC answered, failed", `${grpc.answered}, ${grpc.failed}`],
  );
  process.stdout.write(`${table.toString()}\n`);
}

function titlesOf(count: number): string[] {
  return Array.from({ length: count }, (_, title) => `title-${title}/master.m3u8`);
}

/** A fifth is held everywhere, of the rest each box holds a quarter. */
function holdsTitle(title: number, appliance: number, titles: number): boolean {
  return title < titles / 5 || (title * 7 + appliance) % 4 === 0;
}

/** By processor time, so that a busy machine does not count. */
function perProcessorSecond(seconds: number, run: (from: number) => void): number {
  run(0);
  let done = 0;
  const before = process.cpuUsage();
  const startedAtMs = performance.now();
  while (performance.now() - startedAtMs < seconds * 1000) {
    run(done);
    done += batch;
  }
  const { user, system } = process.cpuUsage(before);
  return done / ((user + system) / 1e6);
}

function measureInProcess({ appliances, titles, prefixes, seconds }: SteeringBenchOptions) {
  const made = new MadeUpFleet({ clock: systemClock, expiresAfterMs: 24 * 3_600_000 });
  for (let site = 0; site < siteCount; site++) made.routes.setSite({ siteId: `site-${site}`, rank: site });
  fillRoutes(made, prefixes);
  const paths = titlesOf(titles);
  for (let appliance = 0; appliance < appliances; appliance++) {
    const holds = paths.filter((_, title) => holdsTitle(title, appliance, titles));
    made.add({ id: `appliance-${appliance}`, siteId: `site-${appliance % siteCount}`, holds });
  }
  const groups = paths.map((path) => made.steering.groupOf([{ path, etag: "1" }]));
  const addresses = Array.from({ length: 10_007 }, (_, at) => addressOf(at));
  const decideAll = (reserve: boolean) => (from: number) => {
    for (let at = from; at < from + batch; at++) {
      const group = groups[(at * 7919) % groups.length]!;
      const options = reserve ? { sessionId: `s${at % 100_000}`, bitsPerSecond: nominalBitsPerSecond } : {};
      made.steering.decideFor(addresses[at % addresses.length]!, group, options);
    }
  };
  const words = addresses.map((text) => ({ family: 4 as const, words: parsePrefix(`${text}/32`)!.words }));
  return {
    decisionsPerSecond: perProcessorSecond(seconds, decideAll(false)),
    reservingDecisionsPerSecond: perProcessorSecond(seconds, decideAll(true)),
    lookupsPerSecond: perProcessorSecond(seconds, (from) => {
      for (let at = from; at < from + batch; at++) made.routes.orderFor(words[at % words.length]!);
    }),
    prefixes: made.routes.size,
    prefixBytes: made.routes.bytes,
  };
}

/** Spread over the address space by a full-period step. */
function addressOf(at: number): string {
  const value = (Math.imul(at, 2654435761) >>> 0) + 1;
  return `${1 + ((value >>> 24) % 223)}.${(value >>> 16) & 255}.${(value >>> 8) & 255}.${value & 255}`;
}

/** Four fifths IPv4 /24 under /16s, one fifth IPv6 /48; each of one of the sites, with paths of several lengths. */
function fillRoutes({ routes }: MadeUpFleet, prefixes: number): void {
  for (let at = 0; routes.size < prefixes; at++) {
    const siteId = `site-${at % siteCount}`;
    const route = { source: `bgp-${at % siteCount}`, siteId, asPathLength: 1 + (at % 3), med: 0 };
    const text =
      at % 5 === 4 ? `2001:${(at >>> 16).toString(16)}:${(at & 0xffff).toString(16)}::/48` : `${addressOf(at)}/${at % 10 === 0 ? 16 : 24}`;
    routes.announce(parsePrefix(text)!, route);
  }
}

async function measureGrpc({ appliances, titles, rate, seconds }: SteeringBenchOptions) {
  const folder = mkdtempSync(join(tmpdir(), "millrace-bench-steering-"));
  const config = join(folder, "control-plane.yaml");
  const sites = Array.from({ length: siteCount }, (_, site) => ({ id: `site-${site}`, prefixes: [`${10 + site}.0.0.0/8`], rank: site }));
  const settings = {
    listen: { port: 0 },
    admin: { port: 0 },
    database: `sqlite:${folder}/control-plane.db`,
    fleet: { heartbeatEvery: "600s", expiresAfter: "1200s" },
    sites,
    log: { level: "warn" },
  };
  writeFileSync(config, stringify(settings));
  const child = fork(join(packageRoot, "cli/millrace.cjs"), ["control-plane", "--config", config], {
    stdio: ["ignore", "ignore", "inherit", "ipc"],
  });
  try {
    const [message] = (await Promise.race([
      once(child, "message"),
      once(child, "exit").then(([code]) => {
        throw new OperatingError("bench-failed", `Cannot measure: the control plane ended with ${String(code)}`);
      }),
    ])) as [{ ready: { grpcPort: number } }];
    const address = `127.0.0.1:${message.ready.grpcPort}`;
    await joinFleet(address, appliances, titlesOf(Math.min(titles, 1000)));
    return await askAtRate(address, { rate, seconds, titles: Math.min(titles, 1000) });
  } finally {
    child.kill("SIGKILL");
    rmSync(folder, { recursive: true, force: true });
  }
}

async function joinFleet(address: string, appliances: number, paths: readonly string[]): Promise<void> {
  const fleet = new FleetServiceClient(address, credentials.createInsecure());
  const fill = new FillServiceClient(address, credentials.createInsecure());
  for (let appliance = 0; appliance < appliances; appliance++) {
    const applianceId = `appliance-${appliance}`;
    const bootId = "bench";
    const siteId = `site-${appliance % siteCount}`;
    const identity = {
      applianceId,
      siteId,
      clusterId: siteId,
      role: ApplianceRole.APPLIANCE_ROLE_EDGE,
      dataUrl: `http://${applianceId}/`,
      adminUrl: "",
      capacityBytes: 10n ** 12n,
      chunkBytes: 2 ** 20,
      softwareVersion: packageVersion,
    };
    await new Promise<void>((resolve, reject) => fleet.register({ identity, bootId }, (error) => (error ? reject(error) : resolve())));
    const holdings = paths
      .filter((_, title) => holdsTitle(title, appliance, paths.length))
      .map((path) => ({ path, etag: '"1"', chunksHeld: 1, chunksTotal: 1 }));
    await new Promise<void>((resolve, reject) =>
      fill.reportHoldings({ applianceId, bootId, sequence: 1n, replaceAll: true, holdings }, (error) =>
        error ? reject(error) : resolve(),
      ),
    );
    const beat = {
      applianceId,
      bootId,
      state: ApplianceState.APPLIANCE_STATE_LIVE,
      totals: { requests: 0n, bytesSent: 0n, bytesFilled: 0n, heldBytes: 0n },
      disks: [],
      requestHeadroom: 1000,
      fillHeadroom: 1000,
      manifest: undefined,
      holdingsSequence: 1n,
      headroom: undefined,
      sentAtUnixMs: 0n,
    };
    await new Promise<void>((resolve, reject) => fleet.heartbeat(beat, (error) => (error ? reject(error) : resolve())));
  }
  fleet.close();
  fill.close();
}

/** Open loop: a call is due by the clock, whether or not others are answered, and its latency counts from when it was due. */
async function askAtRate(address: string, { rate, seconds, titles }: { rate: number; seconds: number; titles: number }) {
  const client = new SteeringServiceClient(address, credentials.createInsecure());
  const histogram = buildHistogram({ lowestDiscernibleValue: 1, highestTrackableValue: 60_000_000, numberOfSignificantValueDigits: 3 });
  let [answered, failed] = [0, 0];
  const ask = (number: number, dueAtMs: number, counts: boolean) =>
    new Promise<void>((resolve) => {
      const request = {
        clientAddress: `${10 + (number % siteCount)}.1.2.3`,
        paths: [`title-${(number * 7919) % titles}/master.m3u8`],
        everyBox: false,
        sessionId: `s${number % 10_000}`,
        bitsPerSecond: 0n,
      };
      client.rankAppliances(request, (error) => {
        if (counts && !error) histogram.recordValue(Math.max(1, Math.round((performance.now() - dueAtMs) * 1000)));
        if (counts && error) failed++;
        else if (counts) answered++;
        resolve();
      });
    });
  // The compiler of both processes gets its turn first.
  for (let number = 0; number < 4000; number += 20) await Promise.all(Array.from({ length: 20 }, (_, at) => ask(number + at, 0, false)));
  const startedAtMs = performance.now();
  const calls: Promise<void>[] = [];
  const total = rate * seconds;
  while (calls.length < total) {
    const due = Math.min(total, Math.floor(((performance.now() - startedAtMs) * rate) / 1000));
    while (calls.length < due) calls.push(ask(calls.length, startedAtMs + (calls.length * 1000) / rate, true));
    await wait(1);
  }
  await Promise.all(calls);
  client.close();
  const msAt = (percentile: number) => histogram.getValueAtPercentile(percentile) / 1000;
  return { ratePerSecond: rate, answered, failed, p50Ms: msAt(50), p99Ms: msAt(99), p999Ms: msAt(99.9), maxMs: histogram.maxValue / 1000 };
}
