// The checks of `millrace doctor`: each is green or red with what was found.
import { X509Certificate } from "node:crypto";
import { accessSync, constants, readFileSync, statfsSync } from "node:fs";
import Table from "cli-table3";
import { applianceSettings, type ApplianceSettings } from "../appliance/settings.js";
import { messageOf, OperatingError } from "../runtime/operating-error.js";
import { readSettingsFile } from "../runtime/settings-file.js";
import { askAppliance } from "./admin-request.js";
import { withControlPlane } from "./fleet-orders.js";

export interface DoctorOptions {
  config: string;
  admin: string;
  controlPlane?: string;
  probe?: string;
  minRate: string;
  json?: true;
}

interface Check {
  name: string;
  passed: boolean;
  found: string;
}

const certificateDaysMin = 14;
/** Of an upstream so much is fetched at most, for so long at most, to tell its rate. */
const probeBytesMax = 64 * 2 ** 20;
const probeMs = 5000;

/** @throws OperatingError "doctor-red" when a check is red. */
export async function examineBox(options: DoctorOptions): Promise<void> {
  const minMegabits = Number(options.minRate);
  if (!(minMegabits > 0))
    throw new OperatingError("option-invalid", `Cannot examine the box: --min-rate must be above 0: received ${options.minRate}`);
  const settings = readSettingsFile(options.config, applianceSettings);
  const own: Check[] = [checkCertificate(settings), ...settings.disks.map(({ path, size }) => checkDisk(path, size))];
  const running = await checkAppliance(options.admin);
  own.push(...running.checks, ...(await Promise.all(settings.upstreams.map(({ url }) => checkUpstream(url, options.probe, minMegabits)))));
  const controlPlane = options.controlPlane ?? settings.controlPlane?.url;
  let fromServer: Check[] = [];
  let turnedUp = false;
  if (controlPlane !== undefined && running.applianceId !== undefined) {
    const { applianceId } = running;
    try {
      const answer = await withControlPlane(controlPlane, (client) => client.checkTurnUp({ applianceId, boxChecks: own }));
      // The box's own come back with it.
      fromServer = answer.checks.filter(({ name }) => !name.startsWith("box "));
      turnedUp = answer.turnedUp;
    } catch (error) {
      fromServer = [{ name: "control plane", passed: false, found: messageOf(error) }];
    }
  }
  const red = [...own, ...fromServer].filter(({ passed }) => !passed).length;
  if (options.json) {
    process.stdout.write(
      `${JSON.stringify({ applianceId: running.applianceId ?? null, box: own, server: fromServer, turnedUp, red }, null, 2)}\n`,
    );
  } else {
    const table = new Table({ head: ["from", "check", "", "found"], style: { head: [], border: [] } });
    for (const { name, passed, found } of own) table.push(["box", name, passed ? "green" : "RED", found]);
    for (const { name, passed, found } of fromServer) table.push(["server", name, passed ? "green" : "RED", found]);
    process.stdout.write(`${table.toString()}\n${turnedUp ? "All green: the box is turned up.\n" : ""}`);
  }
  if (red > 0) throw new OperatingError("doctor-red", `Cannot pass the box: ${red} ${red === 1 ? "check is" : "checks are"} red`);
}

function checkCertificate({ listen }: ApplianceSettings): Check {
  if (!listen.tls) return { name: "tls", passed: true, found: "plain HTTP" };
  const [pair] = Array.isArray(listen.tls) ? listen.tls : [listen.tls];
  try {
    const { validTo, subject } = new X509Certificate(readFileSync(pair!.cert));
    const daysLeft = Math.floor((Date.parse(validTo) - Date.now()) / 86_400_000);
    return { name: "tls", passed: daysLeft >= certificateDaysMin, found: `${subject}, for ${daysLeft} days more` };
  } catch (error) {
    return { name: "tls", passed: false, found: messageOf(error) };
  }
}

function checkDisk(path: string, bytes: number): Check {
  try {
    accessSync(path, constants.R_OK | constants.W_OK);
    const { blocks, bsize } = statfsSync(path);
    const enough = blocks * bsize >= bytes;
    return { name: `disk ${path}`, passed: enough, found: `a file system of ${gib(blocks * bsize)}, ${gib(bytes)} are wanted` };
  } catch (error) {
    return { name: `disk ${path}`, passed: false, found: messageOf(error) };
  }
}

interface RunningStatus {
  applianceId: string;
  state: string;
  disks: { path: string; state: string }[];
  controlPlane: { connected: boolean } | null;
}

async function checkAppliance(admin: string): Promise<{ applianceId: string | undefined; checks: Check[] }> {
  try {
    const { applianceId, state, disks, controlPlane } = await askAppliance<RunningStatus>(admin, "status");
    const bad = disks.filter((disk) => disk.state !== "online" && disk.state !== "retired");
    const found = bad.length === 0 ? `${disks.length} online` : bad.map((disk) => `${disk.path} is ${disk.state}`).join(", ");
    const checks = [
      { name: "appliance", passed: true, found: `runs, ${state}` },
      { name: "disks in use", passed: bad.length === 0, found },
    ];
    if (controlPlane) {
      checks.push({ name: "control plane", passed: controlPlane.connected, found: controlPlane.connected ? "answers" : "does not answer" });
    }
    return { applianceId, checks };
  } catch (error) {
    return { applianceId: undefined, checks: [{ name: "appliance", passed: false, found: messageOf(error) }] };
  }
}

async function checkUpstream(url: string, probe: string | undefined, minMegabits: number): Promise<Check> {
  const name = `upstream ${url}`;
  const base = url.replace(/^appliance:/, "http:");
  if (base.startsWith("file:")) {
    try {
      accessSync(new URL(base), constants.R_OK);
      return { name, passed: true, found: "can be read" };
    } catch (error) {
      return { name, passed: false, found: messageOf(error) };
    }
  }
  if (!/^https?:/.test(base)) return { name, passed: true, found: "not asked: its requests are signed" };
  const startedAtMs = performance.now();
  try {
    const target = new URL(
      probe === undefined ? "" : probe.split("/").map(encodeURIComponent).join("/"),
      base.endsWith("/") ? base : `${base}/`,
    );
    const response = await fetch(target, { signal: AbortSignal.timeout(probeMs) });
    // Without an object any answer says that it is there.
    if (probe === undefined) {
      await response.body?.cancel();
      return { name, passed: response.status < 500, found: `answers ${response.status}; no rate without --probe` };
    }
    if (!response.ok || !response.body) return { name, passed: false, found: `${target.href} answers ${response.status}` };
    let bytes = 0;
    try {
      for await (const part of response.body) {
        bytes += (part as Uint8Array).length;
        if (bytes >= probeBytesMax) break;
      }
    } catch (error) {
      // The time is up: what came until now tells the rate.
      if (bytes === 0) throw error;
    }
    const megabits = (bytes * 8) / 1e3 / (performance.now() - startedAtMs);
    return { name, passed: megabits >= minMegabits, found: `${megabits.toFixed(0)} Mb/s, ${minMegabits} are wanted` };
  } catch (error) {
    const cause = error instanceof Error && error.cause ? messageOf(error.cause) : messageOf(error);
    return { name, passed: false, found: cause };
  }
}

function gib(bytes: number): string {
  return `${(bytes / 2 ** 30).toFixed(1)} GiB`;
}
