// The copies of the control plane: found by their addresses, asked whether they are well, taken by turns.
import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import type { Log } from "../../../runtime/log.js";
import { messageOf } from "../../../runtime/operating-error.js";
import { parseControlPlaneUrl, type ControlPlaneClient } from "../../control-plane-client.js";

/** Copies beyond it are left out. */
const copiesMax = 100;
/** A copy that does not say how it is in this time is away. */
const healthDeadlineMs = 1000;
/** The gateway's start waits for it. */
const lookupMaxMs = 2000;
/** Calls to a copy that is no longer named may end in this time. */
const leaveMs = 10_000;

export const copyStates = ["unknown", "serving", "draining", "away"] as const;
export type CopyState = (typeof copyStates)[number];

interface Copy {
  client: ControlPlaneClient;
  state: CopyState;
}

export interface ControlPlaneCopiesOptions {
  /** A host name in them stands for all addresses that it has. */
  urls: readonly string[];
  openClient: (url: string) => ControlPlaneClient;
  /** How often host names are looked up. */
  discoverEveryMs: number;
  /** How often each copy is asked how it is. */
  healthEveryMs: number;
  log: Log;
  /** All addresses of a host name. */
  resolve?: (host: string) => Promise<string[]>;
}

export class ControlPlaneCopies {
  readonly #options: ControlPlaneCopiesOptions;
  readonly #resolve: (host: string) => Promise<string[]>;
  #copies = new Map<string, Copy>();
  /** Copy → the URL whose host name stands for it. */
  readonly #origin = new Map<string, string>();
  #turn = 0;
  #timers: NodeJS.Timeout[] = [];
  readonly #leaving = new Map<NodeJS.Timeout, ControlPlaneClient>();
  #isClosed = false;
  #hasAnswered = false;

  constructor(options: ControlPlaneCopiesOptions) {
    this.#options = options;
    this.#resolve = options.resolve ?? (async (host) => (await lookup(host, { all: true })).map(({ address }) => address));
  }

  /** Finds the copies, and asks them how they are from now on. Does not wait until one is well. */
  async start(): Promise<void> {
    await this.#discover();
    this.#every(this.#options.discoverEveryMs, () => this.#discover());
    this.#every(this.#options.healthEveryMs, () => this.#askHealth());
    void this.#askHealth();
  }

  /** Copies that are well, by turns; when there is none, any: it may be back. Never one that was asked while there is another. */
  pick(asked: ReadonlySet<ControlPlaneClient>): { client: ControlPlaneClient; others: number } {
    const all = [...this.#copies.values()];
    const well = all.filter(isWell);
    const fresh = well.filter(({ client }) => !asked.has(client));
    const hopeful = all.filter(({ state }) => state !== "away");
    const candidates = [fresh, well, hopeful, all].find((some) => some.length > 0)!;
    const { client } = candidates[this.#turn++ % candidates.length]!;
    return { client, others: well.filter((copy) => copy.client !== client).length };
  }

  /** Whether a copy can be asked now. */
  isConnected(): boolean {
    let connected = false;
    // Asking opens the connection: so all are asked.
    for (const { client } of this.#copies.values()) if (client.isConnected()) connected = true;
    return connected;
  }

  /** Whether any has ever answered. */
  hasAnswered(): boolean {
    this.#hasAnswered ||= [...this.#copies.values()].some(({ client }) => client.hasAnswered());
    return this.#hasAnswered;
  }

  list(): { url: string; state: CopyState }[] {
    return [...this.#copies].map(([url, { state }]) => ({ url, state }));
  }

  close(): void {
    this.#isClosed = true;
    for (const timer of this.#timers) clearInterval(timer);
    for (const [timer, client] of this.#leaving) {
      clearTimeout(timer);
      client.close();
    }
    for (const { client } of this.#copies.values()) client.close();
  }

  /** Runs `work` again and again, never twice at once. */
  #every(ms: number, work: () => Promise<void>): void {
    let running = false;
    const timer = setInterval(() => {
      if (running) return;
      running = true;
      void work().finally(() => (running = false));
    }, ms);
    this.#timers.push(timer);
  }

  async #discover(): Promise<void> {
    const found = new Set<string>();
    for (const url of this.#options.urls) for (const address of await this.#addressesOf(url)) found.add(address);
    if (this.#isClosed) return;
    const isFirst = this.#copies.size === 0;
    for (const url of [...found].slice(0, copiesMax)) {
      if (this.#copies.has(url)) continue;
      this.#copies.set(url, { client: this.#options.openClient(url), state: "unknown" });
      if (!isFirst) this.#options.log.info({ url }, "a copy of the control plane was found");
    }
    for (const [url, { client }] of this.#copies) {
      if (found.has(url)) continue;
      this.hasAnswered();
      this.#copies.delete(url);
      this.#origin.delete(url);
      const timer = setTimeout(() => {
        this.#leaving.delete(timer);
        client.close();
      }, leaveMs);
      this.#leaving.set(timer, client);
      this.#options.log.info({ url }, "a copy of the control plane is no longer named");
    }
  }

  /** The URL itself where its host is an address; else one per address of its host. */
  async #addressesOf(url: string): Promise<string[]> {
    const address = parseControlPlaneUrl(url)!;
    const host = address.slice(0, address.lastIndexOf(":"));
    const port = address.slice(address.lastIndexOf(":") + 1);
    if (isIP(host.replace(/^\[|\]$/g, "")) !== 0) return [url];
    const known = [...this.#copies.keys()].filter((copy) => this.#origin.get(copy) === url);
    try {
      const addresses = await Promise.race([this.#resolve(host), tooLate(lookupMaxMs)]);
      const urls = addresses.map((ip) => `grpc://${isIP(ip) === 6 ? `[${ip}]` : ip}:${port}`);
      for (const copy of urls) this.#origin.set(copy, url);
      if (urls.length > 0) return urls;
    } catch (error) {
      this.#options.log.warn(
        { host, error: messageOf(error) },
        "the addresses of the control plane can't be looked up: those at hand stay",
      );
    }
    // The name itself, so that a call says what is wrong.
    return known.length > 0 ? known : [url];
  }

  async #askHealth(): Promise<void> {
    await Promise.all(
      [...this.#copies].map(async ([url, copy]) => {
        const state = await copy.client.checkHealth(healthDeadlineMs);
        if (state === copy.state || this.#isClosed) return;
        if (copy.state !== "unknown" || state !== "serving") {
          this.#options.log.info({ url, was: copy.state, is: state }, "a copy of the control plane has changed");
        }
        copy.state = state;
      }),
    );
  }
}

function tooLate(ms: number): Promise<never> {
  return new Promise((_, reject) => setTimeout(() => reject(new Error(`no answer in ${ms} ms`)), ms).unref());
}

function isWell({ client, state }: Copy): boolean {
  // Its connection is known to be lost at once; that it hangs or drains only when it was asked.
  return client.isConnected() && (state === "serving" || state === "unknown");
}
