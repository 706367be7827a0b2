// Reads decision logs and prints what they would have been without some sites.
import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";
import Table from "cli-table3";
import { DecisionReplay, type Replay } from "../control-plane/steering/replay-decisions.js";
import { parseDurationMs } from "../runtime/duration.js";
import { messageOf, OperatingError } from "../runtime/operating-error.js";

export interface ReplayCommandOptions {
  without: string[];
  sessionMax: string;
  json?: true;
}

/** Rows of appliances that a person reads. */
const boxesShownMax = 30;

/** @throws OperatingError when a log cannot be read or has no decision. */
export async function replayLogs(logs: readonly string[], { without, sessionMax, json }: ReplayCommandOptions): Promise<void> {
  const sessionMaxMs = parseDurationMs(sessionMax);
  if (sessionMaxMs === undefined || sessionMaxMs <= 0) {
    throw new OperatingError("option-invalid", `Cannot replay: Expected a length of time such as 2h: received ${sessionMax}`);
  }
  const replaying = new DecisionReplay({ without: new Set(without), sessionMaxMs });
  for (const log of logs) {
    try {
      for await (const line of createInterface({ input: createReadStream(log), crlfDelay: Infinity })) replaying.take(line);
    } catch (error) {
      throw new OperatingError("decision-log-unreadable", `Cannot read decision log ${log}: ${messageOf(error)}`, {
        source: log,
        cause: error,
      });
    }
  }
  const replay = replaying.end();
  if (replay.sessions === 0) throw new OperatingError("decision-log-empty", `Cannot replay: there is no decision in ${logs.join(", ")}`);
  const unknown = without.filter((site) => !replaying.knowsSite(site));
  if (unknown.length > 0)
    throw new OperatingError("site-unknown", `Cannot replay: no appliance of site ${unknown.join(", ")} is in the log`);
  process.stdout.write(json ? `${JSON.stringify(replay, null, 2)}\n` : asText(replay, without));
}

function asText(replay: Replay, without: readonly string[]): string {
  const share = (part: number) => `${((100 * part) / replay.sessions).toFixed(1)} %`;
  const gigabytes = (bytes: number) => `${(bytes / 1e9).toFixed(1)} GB`;
  const mbps = (bits: number) => (bits / 1e6).toFixed(1);
  const time = (unixMs: number | undefined) => (unixMs === undefined ? "?" : new Date(unixMs).toISOString());
  let text = `${replay.sessions} sessions from ${time(replay.fromUnixMs)} to ${time(replay.untilUnixMs)}, without ${without.join(", ")}\n\n`;
  const summary = new Table({ head: ["", "sessions", "share", "bytes at nominal rates"], style: { head: [], border: [] } });
  summary.push(
    ["move", replay.moved, share(replay.moved), gigabytes(replay.movedBytes)],
    ["of them miss", replay.misses, share(replay.misses), gigabytes(replay.missedBytes)],
    ["of them have nobody left", replay.lost, share(replay.lost), gigabytes(replay.lostBytes)],
  );
  text += `${summary.toString()}\n`;
  const boxes = new Table({
    head: ["site", "appliance", "sessions more", "peak before, Mb/s", "peak, Mb/s", "network, Mb/s", "overloaded"],
    style: { head: [], border: [] },
  });
  for (const box of replay.boxes.slice(0, boxesShownMax)) {
    const { id, siteId, sessionsGained, peakBitsPerSecond, peakBeforeBitsPerSecond, networkBitsPerSecond, overloadedMs } = box;
    const network = networkBitsPerSecond > 0 ? mbps(networkBitsPerSecond) : "not known";
    const overloaded = overloadedMs > 0 ? `${(overloadedMs / 1000).toFixed(0)} s` : "";
    boxes.push([siteId, id, sessionsGained, mbps(peakBeforeBitsPerSecond), mbps(peakBitsPerSecond), network, overloaded]);
  }
  text += `\n${boxes.toString()}\n`;
  if (replay.boxes.length > boxesShownMax) text += `and ${replay.boxes.length - boxesShownMax} more (--json has all)\n`;
  if (replay.badLines > 0) text += `${replay.badLines} lines could not be read.\n`;
  return text;
}
