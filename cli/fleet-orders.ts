// What `millrace fleet` asks of the control plane, and how it prints the answers.
import Table from "cli-table3";
import { ControlPlaneClient } from "../control-plane/control-plane-client.js";
import { applianceJson } from "../control-plane/gateway/api-answers.js";
import { OperatingError } from "../runtime/operating-error.js";

/** A person waits; a control plane under load may take longer than a player's gateway would wait. */
const deadlineMs = 15_000;

export interface Asked {
  controlPlane: string;
  json?: true;
}

export async function withControlPlane<Answer>(url: string, use: (client: ControlPlaneClient) => Promise<Answer>): Promise<Answer> {
  const client = new ControlPlaneClient(url, { deadlineMs });
  try {
    return await use(client);
  } finally {
    client.close();
  }
}

export async function listFleet({ controlPlane, json }: Asked): Promise<void> {
  const { appliances } = await withControlPlane(controlPlane, (client) => client.listAppliances({}));
  const rows = appliances.map(applianceJson);
  if (json) return print(rows);
  const table = newTable(["site", "appliance", "role", "state", "players", "power"]);
  for (const { id, siteId, role, state, unhealthy, safeToPowerOff, drainedInSeconds } of rows) {
    const power = safeToPowerOff ? "may go" : state === "draining" ? `in some ${drainedInSeconds} s` : "";
    table.push([siteId, id, role, state, unhealthy || "welcome", power]);
  }
  process.stdout.write(rows.length === 0 ? "No appliance has registered yet.\n" : `${table.toString()}\n`);
}

export async function orderDrain(
  applianceId: string,
  { controlPlane, drain, reason }: Asked & { drain: boolean; reason: string },
): Promise<void> {
  await withControlPlane(controlPlane, (client) => client.orderAppliance({ applianceId, drain, reason }));
  process.stdout.write(drain ? `${applianceId} drains: no more players are sent there\n` : `${applianceId} serves again\n`);
}

export interface MaintenanceOptions extends Asked {
  appliance?: string;
  site?: string;
  from: string;
  until: string;
  reason: string;
}

export async function addMaintenance({ controlPlane, appliance = "", site = "", from, until, reason }: MaintenanceOptions): Promise<void> {
  const asked = { maintenanceId: "", applianceId: appliance, siteId: site, fromUnixMs: timeOf(from), untilUnixMs: timeOf(until), reason };
  const { maintenance } = await withControlPlane(controlPlane, (client) => client.scheduleMaintenance({ maintenance: asked }));
  process.stdout.write(`${maintenance?.maintenanceId}\n`);
}

export async function listMaintenance({ controlPlane, json }: Asked): Promise<void> {
  const { maintenance } = await withControlPlane(controlPlane, (client) => client.listMaintenance({}));
  const rows = maintenance.map(({ maintenanceId, applianceId, siteId, fromUnixMs, untilUnixMs, reason }) => ({
    id: maintenanceId,
    applianceId,
    siteId,
    from: new Date(Number(fromUnixMs)).toISOString(),
    until: new Date(Number(untilUnixMs)).toISOString(),
    reason,
  }));
  if (json) return print(rows);
  const table = newTable(["id", "of", "from", "until", "reason"]);
  for (const { id, applianceId, siteId, from, until, reason } of rows)
    table.push([id, siteId === "" ? applianceId : `site ${siteId}`, from, until, reason]);
  process.stdout.write(rows.length === 0 ? "No maintenance is planned.\n" : `${table.toString()}\n`);
}

export async function cancelMaintenance(maintenanceId: string, { controlPlane }: Asked): Promise<void> {
  await withControlPlane(controlPlane, (client) => client.cancelMaintenance({ maintenanceId }));
  process.stdout.write(`${maintenanceId} is cancelled\n`);
}

function timeOf(text: string): bigint {
  const unixMs = Date.parse(text);
  if (!Number.isFinite(unixMs) || unixMs < 0) {
    throw new OperatingError("option-invalid", `Cannot plan maintenance: Expected a time such as 2027-01-31T02:00:00Z: received ${text}`);
  }
  return BigInt(unixMs);
}

function newTable(head: string[]): InstanceType<typeof Table> {
  return new Table({ head, style: { head: [], border: [] } });
}

function print(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value, null, 2)}\n`);
}
