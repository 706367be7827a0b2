// Chooses how to observe the server behind a URL: /proc when it is on this machine, its /metrics when it has one, else not at all.
import { lookup } from "node:dns/promises";
import { networkInterfaces } from "node:os";
import { metricsObserver } from "./metrics-observer.js";
import { findListeners, procObserver } from "./proc-observer.js";
import { blindObserver, type ServerObserver } from "./server-observer.js";

export interface ObserveOptions {
  /** Process whose tree is the server; found by the port when left out. */
  pid?: number;
  /** Where the server's metrics are. */
  metricsUrl?: string;
}

export async function observeServer(url: URL, options: ObserveOptions): Promise<ServerObserver> {
  if (options.pid !== undefined) {
    const { pid } = options;
    return procObserver(() => [pid]);
  }
  if (options.metricsUrl !== undefined) return metricsObserver(options.metricsUrl);
  if (!(await isLocal(url.hostname))) return blindObserver(`${url.hostname} is another machine and no --metrics URL was given`);
  if (process.platform !== "linux") return blindObserver("this machine has no Linux /proc");
  const port = Number(url.port) || (url.protocol === "https:" ? 443 : 80);
  if (findListeners(port).length === 0) return blindObserver(`no process of this user listens on port ${port}`);
  // Looked up anew at each reading: a server may replace its workers.
  return procObserver(() => findListeners(port));
}

async function isLocal(hostname: string): Promise<boolean> {
  const own = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  try {
    const { address } = await lookup(hostname.replace(/^\[|\]$/g, ""));
    return address.startsWith("127.") || own.some((entry) => entry.address === address);
  } catch {
    return false;
  }
}
