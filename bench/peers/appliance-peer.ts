// The Millrace appliance as a peer. (Figures start it with settings of their own: bench/figures/appliance-under-test.ts.)
import { existsSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { packageRoot } from "../../runtime/package-root.js";
import { findProgram } from "./find-program.js";
import type { Peer } from "./peer.js";
import { fillTemplate, freePort, startServer } from "./server-process.js";

const program = join(packageRoot, "cli/millrace.cjs");

export const appliancePeer: Peer = {
  name: "appliance",
  schemes: ["http", "https"],
  find: async () => {
    if (!existsSync(join(packageRoot, "dist/appliance/main.js"))) return { missing: "the appliance is not built (dist/appliance/main.js)" };
    const found = await findProgram(process.execPath, {
      arguments: [program, "--version"],
      version: /\d+\.\d+\.\d+\S*/,
      package: "millrace",
    });
    return "version" in found ? { version: `millrace ${found.version}` } : found;
  },
  readsFrom: ({ scratch }) => [join(scratch, "disk")],
  start: async ({ scheme, files, scratch, certificate, cores, memoryBytes, diskBytes }) => {
    const [port, adminPort] = [await freePort(), await freePort()];
    await mkdir(join(scratch, "disk"), { recursive: true });
    const path = join(scratch, "appliance.yaml");
    const text = fillTemplate("appliance.yaml.in", {
      PORT: port,
      ADMIN_PORT: adminPort,
      TLS: scheme === "https" ? `, tls: { cert: ${certificate.cert}, key: ${certificate.key} }` : "",
      MEMORY: memoryBytes,
      SCRATCH: scratch,
      DISK: diskBytes,
      FILES: files,
    });
    await writeFile(path, text);
    const server = await startServer({
      name: "the appliance",
      command: process.execPath,
      arguments: [program, "appliance", "--config", path],
      cores,
      ready: () => answersReady(`http://127.0.0.1:${adminPort}/readyz`),
    });
    return { ...server, baseUrl: `${scheme}://127.0.0.1:${port}/` };
  },
};

async function answersReady(url: string): Promise<boolean> {
  try {
    return (await fetch(url, { signal: AbortSignal.timeout(1000) })).ok;
  } catch {
    return false;
  }
}
