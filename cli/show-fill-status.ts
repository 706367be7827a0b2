// How an appliance fills: its state, how far it is, who it takes from. Asked of its admin port, printed as text or JSON.
import Table from "cli-table3";
import { formatByteSize } from "../runtime/byte-size.js";
import { askAppliance } from "./admin-request.js";

export interface FillStatusOptions {
  admin: string;
  json?: true;
}

/** As /status of an appliance has it under `fill`. */
interface FillStatus {
  manifestVersion: string;
  objects: number;
  objectsHeld: number;
  bytes: number;
  bytesHeld: number;
  state: string;
  waiting: number;
  bytesPerSecond: number;
  etaSeconds: number | null;
  opensUnixMs: number | null;
  failed: { path: string; reason: string }[];
  underWay: { path: string; bytes: number; bytesHeld: number; urgent: boolean }[];
  sources: {
    source: string;
    chunks: number;
    bytes: number;
    failures: number;
    lies: number;
    refusals: number;
    pausedForMs: number;
    lastFailure: string | null;
  }[];
}

/** @throws OperatingError when the appliance does not answer. */
export async function showFillStatus({ admin, json }: FillStatusOptions): Promise<void> {
  const { fill } = await askAppliance<{ fill: FillStatus | null }>(admin, "status");
  if (json) return void process.stdout.write(`${JSON.stringify(fill)}\n`);
  if (!fill) return void process.stdout.write("No manifest has come yet.\n");
  process.stdout.write(`${summaryOf(fill)}\n`);
  if (fill.underWay.length > 0) {
    const table = new Table({ head: ["object", "held", "of", "urgent"] });
    for (const { path, bytesHeld, bytes, urgent } of fill.underWay)
      table.push([path, formatByteSize(bytesHeld), formatByteSize(bytes), urgent ? "yes" : ""]);
    process.stdout.write(`${table.toString()}\n`);
  }
  if (fill.sources.length > 0) {
    const table = new Table({ head: ["source", "chunks", "bytes", "failures", "lies", "busy", "asked again in", "last failure"] });
    for (const { source, chunks, bytes, failures, lies, refusals, pausedForMs, lastFailure } of fill.sources) {
      const pause = pausedForMs > 0 ? `${Math.ceil(pausedForMs / 1000)} s` : "";
      table.push([source, chunks, formatByteSize(bytes), failures, lies, refusals, pause, lastFailure ?? ""]);
    }
    process.stdout.write(`${table.toString()}\n`);
  }
  for (const { path, reason } of fill.failed) process.stdout.write(`not filled in the last round: ${path}: ${reason}\n`);
}

export async function pauseFill({ admin, json }: FillStatusOptions, paused: boolean): Promise<void> {
  const answer = await askAppliance<{ paused: boolean }>(admin, paused ? "fill/pause" : "fill/resume", {});
  process.stdout.write(json ? `${JSON.stringify(answer)}\n` : `${answer.paused ? "paused" : "resumed"}\n`);
}

function summaryOf(fill: FillStatus): string {
  const { state, bytes, bytesHeld, objects, objectsHeld, bytesPerSecond, etaSeconds, opensUnixMs, waiting, manifestVersion } = fill;
  const share = bytes === 0 ? 100 : Math.floor((bytesHeld / bytes) * 1000) / 10;
  const lines = [
    `${state}: ${formatByteSize(bytesHeld)} of ${formatByteSize(bytes)} (${share} %), ${objectsHeld} of ${objects} objects, manifest ${manifestVersion}`,
  ];
  if (bytesPerSecond > 0) lines.push(`${formatByteSize(bytesPerSecond)}/s${etaSeconds === null ? "" : `, done in about ${etaSeconds} s`}`);
  if (waiting > 0) lines.push(`${waiting} objects wait for a source that has them, or for their next step`);
  if (state === "out-of-hours" && opensUnixMs !== null) lines.push(`the next window opens at ${new Date(opensUnixMs).toISOString()}`);
  return lines.join("\n");
}
