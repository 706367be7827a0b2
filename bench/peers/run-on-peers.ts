// Starts servers on this machine with the same files and measures them in turns: A B A B, so that a slow minute of the machine hits all alike.
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { messageOf, OperatingError } from "../../runtime/operating-error.js";
import type { CatalogObject } from "../load/load-plan.js";
import { runLoad } from "../load/run-load.js";
import { procObserver } from "../observe/proc-observer.js";
import { blindObserver } from "../observe/server-observer.js";
import { sumOfErrors } from "../report/bench-result.js";
import { openProgressBar } from "../report/progress-bar.js";
import type { ResultBuilder } from "../report/result-builder.js";
import { generatedObjects, writeObjectFiles } from "../workloads/object-files.js";
import type { ReplayTrace } from "../workloads/replay-trace.js";
import { runWorkloadRound, type MidRunCommand } from "../workloads/run-workload.js";
import type { WorkloadFlags } from "../workloads/workload-flags.js";
import { dropsPageCache, bytesOf, planOf, readReplayOf, type LoadTarget } from "../workloads/workload-plan.js";
import { flagsOf, type Workload } from "../workloads/workload-table.js";
import { makeCertificate } from "./certificate.js";
import { floorPeer } from "./floor-peer.js";
import { nginxPeer } from "./nginx-peer.js";
import type { Peer } from "./peer.js";
import { pinThisProcess, type Cores } from "./processor-cores.js";
import type { ServerProcess } from "./server-process.js";

/** Reading every object once before the first round ends after this time at the latest. */
const fillTimeLimitSeconds = 120;
/** A cold set is so many times as large as the memory that a server may use. */
const coldSetToMemory = 8;
/** What a server needs beside the files themselves. */
const memoryBesideFilesBytes = 256 * 2 ** 20;

export interface PeersRequest {
  peers: readonly Peer[];
  steps: readonly { workload: Workload; scheme: "http" | "https" }[];
  typed: Partial<WorkloadFlags>;
  cores: Cores;
  /** Folder of generated files to use and keep; null makes them in a temporary folder. */
  files: string | null;
  /** Memory that a server may use for files; null is enough for the set. */
  memoryBytes: number | null;
  generator: "millrace" | "wrk";
  /** Worker threads of the generator. */
  workers: number;
  midRun: MidRunCommand | null;
  signal: AbortSignal;
}

interface Step {
  workload: Workload;
  scheme: "http" | "https";
  flags: WorkloadFlags;
}

/** Adds subjects and rounds to `result`. True when everything that was asked for was run. */
export async function runOnPeers(request: PeersRequest, result: ResultBuilder): Promise<boolean> {
  const steps = request.steps.map(({ workload, scheme }) => ({ workload, scheme, flags: flagsOf(workload, request.typed) }));
  const { objects, replay } = await objectsFor(steps.map(({ flags }) => flags));

  const installed: Peer[] = [];
  for (const peer of request.peers) {
    const found = await peer.find();
    if ("version" in found) installed.push(peer);
    result.addSubject({
      name: peer.name,
      version: "version" in found ? found.version : null,
      missing: "missing" in found ? found.missing : null,
    });
  }
  if (request.cores.generator === null) result.note("nothing is pinned to a core: server and generator disturb each other");
  else pinThisProcess(request.cores.generator);

  const scratch = await mkdtemp(join(tmpdir(), "millrace-bench-"));
  try {
    const files = request.files ?? join(scratch, "files");
    await writeObjectFiles(files, objects);
    const bar = openProgressBar(plannedRounds(installed, steps));
    try {
      let done = 0;
      for (const scheme of ["http", "https"] as const) {
        const ofScheme = steps.filter((step) => step.scheme === scheme);
        if (ofScheme.length === 0) continue;
        for (const peer of installed) if (!peer.schemes.includes(scheme)) result.note(`${peer.name} speaks no ${scheme.toUpperCase()}`);
        const group = new PeerGroup(request, { scheme, files, scratch, objects, replay, steps: ofScheme }, result);
        try {
          await group.start(installed.filter((peer) => peer.schemes.includes(scheme)));
          for (const step of ofScheme) {
            for (let round = 0; round < step.flags.rounds; round++) {
              for (const member of group.members) {
                if (request.signal.aborted) return false;
                bar.begin(done++, `${step.workload.name} ${scheme} ${member.name}`);
                if (!(await group.runRound(member, step, { round, onProgress: bar.update }))) return false;
              }
            }
          }
        } finally {
          await group.stop();
        }
      }
    } finally {
      bar.stop();
    }
    return true;
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/** The objects that all steps together need. */
async function objectsFor(flags: readonly WorkloadFlags[]): Promise<{ objects: CatalogObject[]; replay: ReplayTrace | null }> {
  const traced = flags.find(({ trace }) => trace !== "");
  if (traced !== undefined) {
    if (flags.some(({ trace }) => trace !== traced.trace))
      throw new OperatingError("bad-flag", "Cannot run a replay together with another workload");
    const replay = await readReplayOf(traced);
    return { objects: replay!.objects, replay };
  }
  const sizes = new Set(flags.map(({ objectSize }) => bytesOf("objectSize", objectSize)));
  if (sizes.size !== 1) throw new OperatingError("bad-flag", "Cannot run these workloads together: their --object-size differs");
  const count = Math.max(...flags.map(({ objects, fillConnections, fillObjects }) => objects + (fillConnections > 0 ? fillObjects : 0)));
  return { objects: generatedObjects(count, [...sizes][0]!), replay: null };
}

function plannedRounds(installed: readonly Peer[], steps: readonly Step[]): number {
  let rounds = 0;
  for (const { scheme, flags } of steps) rounds += installed.filter((peer) => peer.schemes.includes(scheme)).length * flags.rounds;
  return rounds;
}

interface Member {
  name: string;
  server: ServerProcess & { baseUrl: string };
  target: LoadTarget;
  readsFrom: readonly string[];
}

/** The servers of one scheme while they run. */
class PeerGroup {
  readonly members: Member[] = [];
  readonly #origins: ServerProcess[] = [];

  constructor(
    readonly request: PeersRequest,
    readonly setting: {
      scheme: "http" | "https";
      files: string;
      scratch: string;
      objects: readonly CatalogObject[];
      replay: ReplayTrace | null;
      steps: readonly Step[];
    },
    readonly result: ResultBuilder,
  ) {}

  async start(peers: readonly Peer[]): Promise<void> {
    const { scheme, files, scratch, objects } = this.setting;
    const certificate = await makeCertificate(scratch);
    const folder = async (name: string) => {
      const path = join(scratch, `${scheme}-${name}`);
      await mkdir(path, { recursive: true });
      return path;
    };
    const filesBytes = objects.reduce((sum, object) => sum + object.bytes, 0);
    const cold = this.setting.steps.some(({ flags }) => dropsPageCache(flags));
    const memoryBytes = this.request.memoryBytes ?? (cold ? Math.ceil(filesBytes / coldSetToMemory) : filesBytes + memoryBesideFilesBytes);
    // Slots and metadata take some percent more than the files.
    const diskBytes = Math.ceil(filesBytes * 1.1) + memoryBesideFilesBytes;
    const common = { files, certificate, memoryBytes, diskBytes };
    // Peers that fetch over HTTP get an origin that is not measured: nginx where it is installed.
    const originPeer = "version" in (await nginxPeer.find()) ? nginxPeer : floorPeer;
    const origin = await originPeer.start({ ...common, scheme: "http", scratch: await folder("origin"), cores: null, originUrl: "" });
    this.#origins.push(origin);
    for (const peer of peers) {
      try {
        const peerScratch = await folder(peer.name);
        const readsFrom = peer.readsFrom({ files, scratch: peerScratch });
        if (cold && readsFrom.length === 0) {
          this.result.note(`${peer.name} keeps nothing on disk: it is not measured cold`);
          continue;
        }
        const server = await peer.start({
          ...common,
          scheme,
          scratch: peerScratch,
          cores: this.request.cores.server,
          originUrl: origin.baseUrl,
        });
        const target = {
          baseUrl: server.baseUrl,
          caPem: certificate.pem,
          insecure: false,
          headers: {},
          objects,
          replay: this.setting.replay,
          workers: this.request.workers,
        };
        this.members.push({ name: peer.name, server, target, readsFrom });
      } catch (error) {
        if (!(error instanceof OperatingError)) throw error;
        this.result.note(`${peer.name} (${scheme}) is missing: ${messageOf(error)}`);
      }
    }
    // A replay shows how a cache warms up: nothing is read ahead of it.
    if (this.setting.replay !== null) return;
    const foremost = Math.max(...this.setting.steps.map(({ flags }) => flags.objects));
    // Twice: the first reading brings objects to a cache's disk, and only the second to some caches' memory (Traffic Server).
    for (const member of this.members) {
      for (let pass = 0; pass < 2; pass++) await this.#readAllOnce(member, objects.slice(0, foremost));
    }
  }

  /** One round; its figures go to the result. False when it was cut short. */
  async runRound(
    member: Member,
    step: Step,
    options: { round: number; onProgress: ReturnType<typeof openProgressBar>["update"] },
  ): Promise<boolean> {
    const { flags, workload, scheme } = step;
    const { generator, midRun, signal, workers, cores } = this.request;
    const { round, whole } = await runWorkloadRound(
      flags,
      { ...member.target, objects: this.setting.replay === null ? member.target.objects.slice(0, flags.objects) : member.target.objects },
      {
        generator,
        midRun,
        signal,
        ...options,
        observer: procObserver(() => [member.server.pid]),
        serverFolders: member.readsFrom,
        fillObjects: member.target.objects.slice(flags.objects),
      },
    );
    if (round !== null) {
      const facts = { name: workload.name, title: workload.title, flags: { ...flags } };
      this.result.addRound(round, {
        subject: member.name,
        scheme,
        workload: facts,
        generator,
        workers: Math.min(workers, flags.connections),
        sameCores: /^\d+$/.test(cores.server ?? "") && /^\d+$/.test(cores.generator ?? ""),
      });
    }
    return whole;
  }

  /** Brings the set into the server's memory, as far as it fits, and checks every byte on the way. */
  async #readAllOnce(member: Member, objects: readonly CatalogObject[]): Promise<void> {
    const plan = planOf(
      {
        ...this.setting.steps[0]!.flags,
        pick: "once",
        walk: "sequential",
        range: "whole",
        rate: 0,
        crowdAt: 1,
        connections: 8,
        verify: "all",
        warmup: "0s",
      },
      { ...member.target, objects, workers: 1 },
    );
    const observer = blindObserver("not measured");
    const { round } = await runLoad({ ...plan, seconds: fillTimeLimitSeconds }, { observer, signal: this.request.signal });
    if (round === null) return;
    if (round.total.seconds >= fillTimeLimitSeconds)
      this.result.note(`${member.name} (${this.setting.scheme}): not all of the set was read before the first round`);
    const failed = sumOfErrors(round.total.errors);
    if (failed > 0)
      this.result.note(`${member.name} (${this.setting.scheme}): ${failed} requests failed while the set was read for the first time`);
  }

  async stop(): Promise<void> {
    await Promise.all([...this.members.map(({ server }) => server), ...this.#origins].map((server) => server.stop()));
  }
}
