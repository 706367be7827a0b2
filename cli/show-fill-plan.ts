// The fill plan, its reasons and the misses: asked of the control plane, printed as tables or JSON.
import Table from "cli-table3";
import { ControlPlaneClient } from "../control-plane/control-plane-client.js";
import { formatByteSize } from "../runtime/byte-size.js";
import { parseDurationMs } from "../runtime/duration.js";
import { OperatingError } from "../runtime/operating-error.js";

/** A person waits; a plan of a large catalog takes some seconds. */
const deadlineMs = 60_000;

export interface PlanOptions {
  controlPlane: string;
  explain?: string;
  now?: true;
  json?: true;
}

export interface PinOptions {
  controlPlane: string;
  copies?: number;
  expect?: number;
}

export interface MissesOptions {
  controlPlane: string;
  since: string;
  appliance?: string;
  title?: string;
  limit: number;
  json?: true;
}

/** @throws OperatingError. */
export async function showPlan(options: PlanOptions): Promise<void> {
  await withClient(options.controlPlane, async (client) => {
    if (options.now) await client.makePlan({});
    if (options.explain !== undefined) return explain(client, options.explain, options.json);
    const { generation, plannedAtUnixMs, appliances } = await client.summarizePlan({});
    const answer = {
      generation: Number(generation),
      plannedAt: plannedAtUnixMs === 0n ? null : new Date(Number(plannedAtUnixMs)).toISOString(),
      appliances: appliances.map(({ manifestVersion, ...one }) => ({ ...numbers(one), manifestVersion: String(manifestVersion) })),
    };
    if (options.json) return print(answer);
    const table = new Table({
      head: ["site", "cluster", "appliance", "role", "objects", "manifest", "of", "held", "added"],
      style: { head: [] },
    });
    for (const one of appliances) {
      table.push([
        one.siteId,
        one.clusterId,
        one.applianceId,
        one.role,
        String(one.objects),
        formatByteSize(Number(one.bytes)),
        formatByteSize(Number(one.budgetBytes)),
        one.bytes === 0n ? "-" : `${Math.floor((Number(one.bytesHeld) / Number(one.bytes)) * 100)} %`,
        formatByteSize(Number(one.addedBytes)),
      ]);
    }
    process.stdout.write(`plan ${answer.generation}, made ${answer.plannedAt ?? "never"}\n${table.toString()}\n`);
  });
}

/** @throws OperatingError. */
export async function pinTitle(titleId: string, { controlPlane, copies = 0, expect = 0 }: PinOptions): Promise<void> {
  if (!Number.isInteger(copies) || copies < 0) throw new OperatingError("bad-flag", "Cannot pin the title: --copies takes a whole number");
  if (!Number.isFinite(expect) || expect < 0)
    throw new OperatingError("bad-flag", "Cannot set what is expected: --expect takes plays per day");
  await withClient(controlPlane, async (client) => {
    await client.setEditorial({ titleId, pinnedCopies: copies, expectedPlaysPerDay: expect });
  });
}

/** @throws OperatingError. */
export async function showMisses(options: MissesOptions): Promise<void> {
  const sinceMs = parseDurationMs(options.since);
  if (sinceMs === undefined)
    throw new OperatingError("bad-flag", `Cannot list misses: --since takes a time such as 24h: received ${options.since}`);
  if (!Number.isInteger(options.limit) || options.limit < 1)
    throw new OperatingError("bad-flag", "Cannot list misses: --limit takes a whole number from 1");
  await withClient(options.controlPlane, async (client) => {
    const nowUnixMs = Date.now();
    const { misses } = await client.listMisses({
      fromUnixMs: BigInt(Math.max(1, nowUnixMs - sinceMs)),
      toUnixMs: BigInt(nowUnixMs + 1),
      applianceId: options.appliance ?? "",
      titleId: options.title ?? "",
      limit: options.limit,
    });
    const rows = misses.map(({ hourUnixMs, ...miss }) => ({ hour: new Date(Number(hourUnixMs)).toISOString(), ...numbers(miss) }));
    if (options.json) return print(rows);
    const table = new Table({ head: ["hour", "appliance", "title", "served", "C", "H"], style: { head: [] } });
    for (const [at, { bytesServed, contentBytes, healthBytes, applianceId, titleId }] of misses.entries()) {
      const bytes = [bytesServed, contentBytes, healthBytes].map((one) => formatByteSize(Number(one)));
      table.push([rows[at]!.hour.slice(0, 13), applianceId, titleId || "(in no title)", ...bytes]);
    }
    process.stdout.write(`${table.toString()}\n`);
  });
}

async function explain(client: ControlPlaneClient, path: string, json?: true): Promise<void> {
  const answer = await client.explainObject({ path });
  if (json) return print(answer);
  const clusters = new Table({ head: ["cluster", "plays/day", "fast", "slow", "prior", "why"], style: { head: [] }, wordWrap: true });
  for (const one of answer.clusters) {
    const plays = [one.playsPerDay, one.playsPerDayFromFast, one.playsPerDayFromSlow, one.playsPerDayFromPrior];
    clusters.push([one.clusterId, ...plays.map((value) => String(Number(value.toPrecision(3)))), one.reason]);
  }
  const appliances = new Table({ head: ["cluster", "appliance", "planned", "holds", "why"], style: { head: [] } });
  for (const one of answer.appliances) {
    appliances.push([one.clusterId, one.applianceId, one.planned ? "yes" : "no", one.holds, one.reason]);
  }
  process.stdout.write(`${answer.path}, of title ${answer.titleId}\n${clusters.toString()}\n${appliances.toString()}\n`);
}

async function withClient(url: string, use: (client: ControlPlaneClient) => Promise<void>): Promise<void> {
  const client = new ControlPlaneClient(url, { deadlineMs });
  try {
    await use(client);
  } finally {
    client.close();
  }
}

/** Amounts of bytes and objects as JSON has numbers. */
function numbers<Row extends object>(row: Row): { [Key in keyof Row]: Row[Key] extends bigint ? number : Row[Key] } {
  return Object.fromEntries(Object.entries(row).map(([key, value]) => [key, typeof value === "bigint" ? Number(value) : value])) as {
    [Key in keyof Row]: Row[Key] extends bigint ? number : Row[Key];
  };
}

function print(answer: unknown): void {
  process.stdout.write(`${JSON.stringify(answer, null, 2)}\n`);
}
