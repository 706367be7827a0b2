// How many connections each client has open: counted from the kernel's own table, since the engine does not say whose connection has ended.
import { readFile } from "node:fs/promises";

const lookEveryMs = 1000;
/** A table that takes long to read is read less often: it is never more than a tenth of a core. */
const pausePerWork = 10;
const establishedState = "01";

export interface ConnectionCensusOptions {
  /** Of the appliance's data. */
  port: number;
  onCount: (counts: Iterable<readonly [address: Uint8Array, connections: number]>) => void;
}

/** Looks until `stop`. */
export class ConnectionCensus {
  readonly #options: ConnectionCensusOptions;
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(options: ConnectionCensusOptions) {
    this.#options = options;
    this.#plan(lookEveryMs);
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  #plan(delayMs: number): void {
    this.#timer = setTimeout(() => void this.#look(), delayMs).unref();
  }

  async #look(): Promise<void> {
    const startedMs = performance.now();
    const counts = new Map<string, number>();
    for (const file of ["/proc/self/net/tcp", "/proc/self/net/tcp6"]) {
      // A system without IPv6 has no tcp6.
      countConnections(await readFile(file, "latin1").catch(() => ""), this.#options.port, counts);
    }
    if (this.#stopped) return;
    this.#options.onCount([...counts].map(([address, count]) => [addressOf(address), count] as const));
    this.#plan(Math.max(lookEveryMs, (performance.now() - startedMs) * pausePerWork));
  }
}

/** Adds the connections to `port` that stand, by the far address as the kernel writes it. */
export function countConnections(table: string, port: number, counts: Map<string, number>): void {
  const local = `:${port.toString(16).toUpperCase().padStart(4, "0")} `;
  //   0: 0100007F:1F90 0200007F:C350 01 00000000:00000000 …
  for (let at = table.indexOf(local); at >= 0; at = table.indexOf(local, at + 1)) {
    const far = at + local.length;
    const colon = table.indexOf(":", far);
    // The same number may be that of the far port.
    if (colon - far !== 8 && colon - far !== 32) continue;
    if (table.slice(colon + 6, colon + 8) !== establishedState) continue;
    const address = table.slice(far, colon);
    counts.set(address, (counts.get(address) ?? 0) + 1);
  }
}

/** The kernel writes each four bytes as one number of this machine's order, which is little-endian wherever the engine runs. */
export function addressOf(text: string): Uint8Array {
  const bytes = Buffer.from(text, "hex");
  return bytes.swap32();
}
