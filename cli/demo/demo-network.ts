// Starts and stops the demo's network: an origin, a control plane, a storage appliance, two edges at two sites, and the gateway.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { stringify } from "yaml";
import { ingest } from "../../control-plane/ingest/ingest.js";
import { parseByteSize } from "../../runtime/byte-size.js";
import { packageRoot } from "../../runtime/package-root.js";
import { freePort } from "./free-port.js";
import { demoChunk, demoEdges, planNetwork, usualPorts, type DemoPorts } from "./plan-network.js";
import { SupervisedProcess } from "./supervised-process.js";

/** Whoever has not stopped by then is killed, so that Ctrl-C takes less than five seconds. */
const stopDeadlineMs = 4000;

export interface DemoNetworkOptions {
  stateFolder: string;
  /** A packaged film, or a video file, in place of our own. */
  film: string | undefined;
  /** What the demo does, for a person. */
  onEvent: (text: string) => void;
}

/** What runs, and where. */
export interface DemoAddresses {
  player: string;
  console: string;
  gateway: string;
  controlPlane: string;
  origin: string;
  appliances: { name: string; site: string; data: string; admin: string }[];
  /** Process ids by name. */
  processes: Record<string, number | undefined>;
}

export class DemoNetwork {
  readonly #options: DemoNetworkOptions;
  readonly #processes: SupervisedProcess[] = [];
  readonly #stopping = new AbortController();

  constructor(options: DemoNetworkOptions) {
    this.#options = options;
  }

  /** Resolves when everything is up and the film is in the catalog. */
  async start(): Promise<DemoAddresses> {
    const { stateFolder, film, onEvent } = this.#options;
    const given = new Set<number>();
    const ports = {} as DemoPorts;
    for (const [name, usual] of Object.entries(usualPorts)) ports[name as keyof DemoPorts] = await freePort("127.0.0.1", usual, given);
    const network = planNetwork(ports, stateFolder);
    const originFolder = join(stateFolder, "origin");
    for (const folder of [originFolder, join(stateFolder, "log"), join(stateFolder, "settings")]) mkdirSync(folder, { recursive: true });
    for (const { disks } of Object.values(network.appliances)) for (const { path } of disks) mkdirSync(path, { recursive: true });

    onEvent("Starting the origin and the control plane …");
    await Promise.all([
      this.#start("origin", ["origin", originFolder, "--port", String(ports.origin)]),
      this.#start("control-plane", ["control-plane", "--config", this.#writeSettings("control-plane", network.controlPlane)]),
    ]);
    onEvent("Starting a storage appliance, two edge appliances and the gateway …");
    await Promise.all([
      ...Object.entries(network.appliances).map(([name, settings]) =>
        this.#start(name, ["appliance", "--config", this.#writeSettings(name, settings)]),
      ),
      this.#start("gateway", ["gateway", "--config", this.#writeSettings("gateway", network.gateway)]),
    ]);
    onEvent("Putting the film into the origin and the catalog …");
    const ours = film === undefined;
    await ingest({
      path: film ?? join(packageRoot, "film/clock"),
      ...(ours ? { titleId: "clock", name: "The Millrace clock" } : {}),
      origin: originFolder,
      chunkBytes: parseByteSize(demoChunk)!,
      controlPlane: network.controlPlaneUrl,
      signal: this.#stopping.signal,
    });
    return {
      player: network.gatewayUrl,
      console: `${network.gatewayUrl}console`,
      gateway: network.gatewayUrl,
      controlPlane: network.controlPlaneUrl,
      origin: network.originUrl,
      appliances: [
        ...demoEdges.map(({ name, site, ports: [data, admin] }) => addressOf(name, site, ports[data], ports[admin])),
        addressOf("storage", "exchange-1", ports.storage, ports.storageAdmin),
      ],
      processes: Object.fromEntries(this.#processes.map(({ name, pid }) => [name, pid])),
    };
  }

  /** Stops every process, and kills what does not stop in time. Leaves none behind. */
  async stop(): Promise<void> {
    if (this.#stopping.signal.aborted) return;
    this.#stopping.abort();
    const deadline = wait(stopDeadlineMs, "late", { ref: false });
    if ((await Promise.race([Promise.all(this.#processes.map((each) => each.stop())), deadline])) === "late") {
      for (const each of this.#processes) each.kill();
      await Promise.all(this.#processes.map((each) => each.stop()));
    }
  }

  async #start(name: string, command: string[]): Promise<void> {
    const process = new SupervisedProcess({
      name,
      command,
      logFolder: join(this.#options.stateFolder, "log"),
      onEvent: this.#options.onEvent,
    });
    this.#processes.push(process);
    await process.start();
  }

  #writeSettings(name: string, settings: object): string {
    const file = join(this.#options.stateFolder, "settings", `${name}.yaml`);
    writeFileSync(file, `# Written by \`millrace demo\` at each start.\n${stringify(settings)}`);
    return file;
  }
}

function addressOf(name: string, site: string, port: number, adminPort: number) {
  return { name, site, data: `http://127.0.0.1:${port}/`, admin: `http://127.0.0.1:${adminPort}/` };
}
