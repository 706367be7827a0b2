// A real BGP speaker for tests: Debian's gobgpd on the loopback.
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { promisify } from "node:util";
import { freePort } from "../../cli/demo/free-port.js";
import { waitUntil } from "./wait-until.js";

const given = new Set<number>();

export interface BgpDaemonOptions {
  folder: string;
  name: string;
  /** On the loopback; each daemon of a test has another one, as BGP knows its neighbours by address. */
  address: string;
  asn: number;
  bgpPort: number;
  apiPort: number;
  neighbors?: { address: string; asn: number; port: number; passive?: boolean }[];
}

export interface BgpDaemon {
  apiPort: number;
  /** `gobgp …` on it. */
  ask(...args: string[]): Promise<string>;
  kill(): Promise<void>;
}

export async function freeBgpPort(): Promise<number> {
  return freePort("127.0.0.1", 0, given);
}

/** Starts it and resolves when it answers; it is killed when the test ends. */
export async function startBgpDaemon(t: TestContext, options: BgpDaemonOptions): Promise<BgpDaemon> {
  const { folder, name, address, asn, bgpPort, apiPort, neighbors = [] } = options;
  const file = join(folder, `${name}.yaml`);
  const families = ["ipv4-unicast", "ipv6-unicast"].map((family) => ({ config: { "afi-safi-name": family } }));
  const config = {
    global: { config: { as: asn, "router-id": address, port: bgpPort, "local-address-list": [address] } },
    neighbors: neighbors.map((neighbor) => ({
      config: { "neighbor-address": neighbor.address, "peer-as": neighbor.asn },
      timers: { config: { "connect-retry": 1, "hold-time": 9, "idle-hold-time-after-reset": 1 } },
      transport: { config: { "local-address": address, "remote-port": neighbor.port, "passive-mode": neighbor.passive ?? false } },
      "ebgp-multihop": { config: { enabled: true, "multihop-ttl": 2 } },
      "afi-safis": families,
    })),
  };
  writeFileSync(file, JSON.stringify(config));
  const child = spawn("gobgpd", ["-t", "json", "-f", file, "--api-hosts", `127.0.0.1:${apiPort}`, "--pprof-disable"], { stdio: "ignore" });
  const ended = once(child, "exit");
  const kill = async () => {
    child.kill("SIGKILL");
    await ended;
  };
  t.after(kill);
  const ask = async (...args: string[]) => (await promisify(execFile)("gobgp", ["-p", String(apiPort), ...args])).stdout;
  await waitUntil(`${name} answers`, async () => (await ask("global")) !== "");
  return { apiPort, ask, kill };
}
