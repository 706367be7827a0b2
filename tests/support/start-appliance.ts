// A real appliance for a test: its own folders, free ports, small and cruel settings.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { stringify } from "yaml";
import { startMillrace, type RunningMillrace } from "./run-millrace.js";

export interface ApplianceFixtureOptions {
  /** Its index, its two disks and its settings lie here; start again with the same folder to find them warm. */
  folder: string;
  upstreams: string[];
  /** Default 64 KiB. */
  chunk?: number | string;
  /** Anything else of the settings file. */
  settings?: Record<string, unknown>;
  env?: NodeJS.ProcessEnv;
  /** Of the command line. */
  flags?: string[];
}

export interface ApplianceFixture extends RunningMillrace {
  /** With a slash at the end. */
  url: string;
  adminUrl: string;
}

/** Writes the settings file of an appliance; the answer is its path. */
export function writeApplianceSettings({ folder, upstreams, chunk = 65_536, settings = {} }: ApplianceFixtureOptions): string {
  const disks = ["disk1", "disk2"].map((name) => ({ path: join(folder, name), size: "64MiB" }));
  for (const { path } of disks) mkdirSync(path, { recursive: true });
  const file = join(folder, "appliance.yaml");
  const all = {
    listen: { port: 0 },
    admin: { port: 0 },
    workers: 2,
    ram: "16MiB",
    chunk,
    index: join(folder, "index"),
    disks,
    upstreams: upstreams.map((url) => ({ url })),
    drain: { deadline: "5s" },
    ...settings,
  };
  writeFileSync(file, stringify(all));
  return file;
}

/** Starts it and resolves when it serves. The caller stops it. */
export async function startAppliance(options: ApplianceFixtureOptions): Promise<ApplianceFixture> {
  const running = await startMillrace(["appliance", "--config", writeApplianceSettings(options), ...(options.flags ?? [])], options.env);
  return { ...running, url: String(running.ready["dataUrl"]), adminUrl: `http://127.0.0.1:${running.ready["adminPort"]}/` };
}

/** What GET /status of an appliance says, as far as tests look at it. */
export interface ApplianceStatusAnswer {
  applianceId: string;
  state: string;
  requests: { received: number; underWay: number; bytesSent: number };
  memory: { frames: number; free: number; pinned: number };
  disks: { path: string; state: string; usedBytes: number; errors: number }[];
  controlPlane: { connected: boolean; lease?: { expiresAtUnixMs: number } } | null;
  fill: { objects: number; objectsHeld: number; bytes: number; bytesHeld: number } | null;
}

export async function readStatus({ adminUrl }: Pick<ApplianceFixture, "adminUrl">): Promise<ApplianceStatusAnswer> {
  return (await (await fetch(`${adminUrl}status`)).json()) as ApplianceStatusAnswer;
}

/** The value of one line of /metrics, such as `millrace_fill_fetches_total` or `millrace_responses_total{status="206"}`. */
export async function readMetric({ adminUrl }: Pick<ApplianceFixture, "adminUrl">, line: string): Promise<number> {
  const text = await (await fetch(`${adminUrl}metrics`)).text();
  const found = text.split("\n").find((row) => row.startsWith(`${line} `));
  if (!found) throw new Error(`/metrics has no ${line}`);
  return Number(found.slice(line.length + 1));
}
