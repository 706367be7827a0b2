// Starts the appliance with settings of a figure's own, and reads what it tells of itself.
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { OperatingError } from "../../runtime/operating-error.js";
import { packageRoot } from "../../runtime/package-root.js";
import { freePort, startServer, type ServerProcess } from "../peers/server-process.js";
import { readSamples, type Samples } from "./metric-samples.js";

const program = join(packageRoot, "cli/millrace.cjs");
const askTimeoutMs = 10_000;

export interface ApplianceStart {
  /** Gets the settings file and, where the settings do not say otherwise, the index. */
  folder: string;
  ramBytes: number;
  workers?: number;
  chunkBytes?: number;
  disks: readonly { path: string; bytes: number }[];
  /** Of the upstream; file:// or http://. */
  upstreamUrl: string;
  tls?: { cert: string; key: string } | undefined;
  /** More lines of YAML. */
  more?: readonly string[];
  /** Processor list for taskset; null leaves it unpinned. */
  cores: string | null;
  nodeOptions?: readonly string[];
  onOutput?: (text: string) => void;
}

/** What `/status` tells, as far as figures use it. */
export interface ApplianceStatus {
  requests: { received: number; underWay: number; bytesSent: number };
  memory: { frames: number; free: number; small: number; main: number; pinned: number };
  disks: { path: string; state: string; chunks: number; usedBytes: number; capacityBytes: number }[];
}

export class ApplianceUnderTest {
  readonly #server: ServerProcess;
  readonly #adminUrl: string;
  readonly baseUrl: string;
  readonly port: number;

  private constructor(server: ServerProcess, ports: { port: number; adminPort: number; scheme: "http" | "https" }) {
    this.#server = server;
    this.port = ports.port;
    this.baseUrl = `${ports.scheme}://127.0.0.1:${ports.port}/`;
    this.#adminUrl = `http://127.0.0.1:${ports.adminPort}`;
  }

  /** @throws OperatingError "peer-failed" with what it printed. */
  static async start(start: ApplianceStart): Promise<ApplianceUnderTest> {
    const [port, adminPort] = [await freePort(), await freePort()];
    for (const { path } of start.disks) await mkdir(path, { recursive: true });
    const path = join(start.folder, "appliance.yaml");
    const tls = start.tls ? `, tls: { cert: ${start.tls.cert}, key: ${start.tls.key} }` : "";
    const lines = [
      `listen: { host: 127.0.0.1, port: ${port}${tls} }`,
      `admin: { host: 127.0.0.1, port: ${adminPort} }`,
      `workers: ${start.workers ?? 1}`,
      `ram: ${start.ramBytes}`,
      `chunk: ${start.chunkBytes ?? 2 ** 20}`,
      `index: ${join(start.folder, "index")}`,
      "disks:",
      ...start.disks.map((disk) => `  - { path: ${disk.path}, size: ${disk.bytes} }`),
      `upstreams: [{ url: "${start.upstreamUrl}" }]`,
      "log: { level: warn }",
      ...(start.more ?? []),
    ];
    await writeFile(path, `${lines.join("\n")}\n`);
    const server = await startServer({
      name: "the appliance",
      command: process.execPath,
      arguments: [...(start.nodeOptions ?? []), program, "appliance", "--config", path],
      cores: start.cores,
      ready: () => answersReady(`http://127.0.0.1:${adminPort}/readyz`),
      ...(start.onOutput && { onOutput: start.onOutput }),
    });
    return new ApplianceUnderTest(server, { port, adminPort, scheme: start.tls ? "https" : "http" });
  }

  get pid(): number {
    return this.#server.pid;
  }

  async status(): Promise<ApplianceStatus> {
    return JSON.parse(await this.#ask("/status")) as ApplianceStatus;
  }

  async metrics(): Promise<Samples> {
    return readSamples(await this.#ask("/metrics"));
  }

  /** POST to the admin port. @throws OperatingError "appliance-refused". */
  async command(path: string, body: unknown): Promise<void> {
    await this.#ask(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
  }

  /** Asks until `condition` holds. @throws OperatingError "condition-missed". */
  async until(condition: (appliance: ApplianceUnderTest) => Promise<boolean>, what: string, timeoutMs = 30_000): Promise<void> {
    const deadlineMs = performance.now() + timeoutMs;
    while (!(await condition(this))) {
      if (performance.now() > deadlineMs)
        throw new OperatingError("condition-missed", `Cannot measure: ${what} took longer than ${timeoutMs / 1000} s`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  /** Resident memory by kind, from /proc/PID/smaps_rollup: mapped pages of files can be taken back by the system at any time. */
  async memory(): Promise<{ rssBytes: number; anonymousBytes: number; sharedMemoryBytes: number; fileBytes: number }> {
    const text = await readFile(`/proc/${this.pid}/smaps_rollup`, "utf8");
    const status = await readFile(`/proc/${this.pid}/status`, "utf8");
    const kilobytes = (from: string, name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(from)?.[1] ?? 0) * 1024;
    return {
      rssBytes: kilobytes(text, "Rss"),
      anonymousBytes: kilobytes(status, "RssAnon"),
      sharedMemoryBytes: kilobytes(status, "RssShmem"),
      fileBytes: kilobytes(status, "RssFile"),
    };
  }

  stop(): Promise<void> {
    return this.#server.stop();
  }

  async #ask(path: string, init: RequestInit = {}): Promise<string> {
    const response = await fetch(`${this.#adminUrl}${path}`, { ...init, signal: AbortSignal.timeout(askTimeoutMs) });
    const text = await response.text();
    if (!response.ok) throw new OperatingError("appliance-refused", `Cannot ask ${path}: ${response.status} ${text.slice(0, 300)}`);
    return text;
  }
}

async function answersReady(url: string): Promise<boolean> {
  try {
    return (await fetch(url, { signal: AbortSignal.timeout(1000) })).ok;
  } catch {
    return false;
  }
}
