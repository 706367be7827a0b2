// An appliance that only talks to the control plane: for tests of what becomes of its words.
import type { TestContext } from "node:test";
import { credentials } from "@grpc/grpc-js";
import { FillServiceClient } from "../../fill-protocol/generated/millrace/fill/v1/fill.js";
import {
  ApplianceRole,
  ApplianceState,
  FleetServiceClient,
  type HeartbeatRequest,
  type HeartbeatResponse,
} from "../../fill-protocol/generated/millrace/fleet/v1/fleet.js";

const etag = '"0123"';

/** Registers, holds what it is told to as version "0123", and beats until `fallSilent()`. */
export async function joinFleet(
  t: TestContext,
  port: number,
  { id, siteId, holds, says = {} }: { id: string; siteId: string; holds: readonly string[]; says?: Partial<HeartbeatRequest> },
) {
  const address = `127.0.0.1:${port}`;
  const fleet = new FleetServiceClient(address, credentials.createInsecure());
  const fill = new FillServiceClient(address, credentials.createInsecure());
  t.after(() => {
    fleet.close();
    fill.close();
  });
  const bootId = `${id}-boot`;
  const identity = {
    applianceId: id,
    siteId,
    clusterId: `${siteId}-a`,
    role: ApplianceRole.APPLIANCE_ROLE_EDGE,
    dataUrl: `http://127.0.0.1:1/${id}/`,
    adminUrl: "",
    capacityBytes: 1_000_000n,
    chunkBytes: 1000,
    softwareVersion: "0",
  };
  await new Promise<void>((resolve, reject) => fleet.register({ identity, bootId }, (error) => (error ? reject(error) : resolve())));
  const holdings = holds.map((path) => ({ path, etag, chunksHeld: 1, chunksTotal: 1 }));
  await new Promise<void>((resolve, reject) =>
    fill.reportHoldings({ applianceId: id, bootId, sequence: 1n, replaceAll: true, holdings }, (error) =>
      error ? reject(error) : resolve(),
    ),
  );
  const heartbeat = {
    applianceId: id,
    bootId,
    state: ApplianceState.APPLIANCE_STATE_LIVE,
    totals: { requests: 7n, bytesSent: 8n, bytesFilled: 9n, heldBytes: 10n },
    disks: [],
    requestHeadroom: 100,
    fillHeadroom: 100,
    manifest: undefined,
    holdingsSequence: 1n,
    headroom: undefined,
    sentAtUnixMs: 0n,
    ...says,
  };
  const beat = () =>
    new Promise<HeartbeatResponse>((resolve, reject) =>
      fleet.heartbeat(heartbeat, (error, response) => (error ? reject(error) : resolve(response))),
    );
  const first = await beat();
  const timer = setInterval(() => beat().catch(() => {}), 100);
  const fallSilent = () => clearInterval(timer);
  t.after(fallSilent);
  return { first, beat, fallSilent };
}
