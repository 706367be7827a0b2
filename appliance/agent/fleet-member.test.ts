import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { Server, ServerCredentials } from "@grpc/grpc-js";
import { FillServiceService, type FillServiceServer } from "../../fill-protocol/generated/millrace/fill/v1/fill.js";
import {
  ApplianceRole,
  ApplianceState,
  FleetServiceService,
  type FleetServiceServer,
  type HeartbeatRequest,
  type HeartbeatResponse,
} from "../../fill-protocol/generated/millrace/fleet/v1/fleet.js";
import { systemClock } from "../../runtime/clock.js";
import { openLog } from "../../runtime/log.js";
import { ControlPlaneClient } from "./control-plane-client.js";
import { FleetMember } from "./fleet-member.js";
import { ManifestFile } from "../manifest-file.js";
import { HoldingsReporter } from "./holdings-reporter.js";

/** Far longer than a test takes: what happens does not happen because it was time. */
const heartbeatEveryMs = 600_000;

interface Bench {
  member: FleetMember;
  registered: () => number;
  beats: HeartbeatRequest[];
  setDraining(): void;
}

/** A member of a real gRPC server's fleet; `answer` decides what each heartbeat gets. */
async function openBench(
  context: TestContext,
  answer: (beat: number) => Promise<Partial<HeartbeatResponse>> | Partial<HeartbeatResponse>,
): Promise<Bench> {
  const beats: HeartbeatRequest[] = [];
  let registered = 0;
  let draining = false;
  const server = new Server();
  const fleet: FleetServiceServer = {
    register: (_call, done) => {
      registered++;
      done(null, {
        lease: { leaseId: "l", issuedAtUnixMs: 0n, expiresAtUnixMs: 2n ** 45n, tokenKeys: [], revokedSessions: [], tokenKeysVersion: "" },
        heartbeatEveryMs,
        expiresAfterMs: 3 * heartbeatEveryMs,
      });
    },
    heartbeat: (call, done) => {
      beats.push(call.request);
      void Promise.resolve(answer(beats.length)).then((more) =>
        done(null, { registerAgain: false, reportAllHoldings: false, manifestVersion: 0n, tokenKeysVersion: "", ...more }),
      );
    },
    renewLease: (_call, done) => done(null, { lease: undefined }),
    revokeSession: (_call, done) => done(null, { untilUnixMs: 0n }),
    listAppliances: (_call, done) => done(null, { appliances: [] }),
    fetchRegistry: (_call, done) => done(null, { version: 1n, whole: true, appliances: [], preserving: false }),
  };
  const fill: FillServiceServer = {
    fetchManifest: (call) => call.end(),
    rankSources: (_call, done) => done(null, { sources: [], steps: [], fillMaster: false, validSeconds: 0 }),
    reportHeat: (call, done) => done(null, { acknowledgedSequence: call.request.sequence }),
    reportHoldings: (call, done) => done(null, { acknowledgedSequence: call.request.sequence }),
  };
  server.addService(FleetServiceService, fleet);
  server.addService(FillServiceService, fill);
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) => (error ? reject(error) : resolve(bound)));
  });
  const member = new FleetMember({
    bootId: "b",
    client: new ControlPlaneClient(`grpc://127.0.0.1:${port}`),
    clock: systemClock,
    holdings: new HoldingsReporter(
      (path) => ({ path, etag: "", chunksHeld: 1, chunksTotal: 1 }),
      () => ["a"],
    ),
    log: openLog("test", "silent"),
    self: {
      identity: () => ({
        applianceId: "a",
        siteId: "s",
        clusterId: "c",
        role: ApplianceRole.APPLIANCE_ROLE_EDGE,
        dataUrl: "http://127.0.0.1:1/",
        adminUrl: "",
        capacityBytes: 1n,
        chunkBytes: 1,
        softwareVersion: "0",
      }),
      totals: () => ({ requests: 0n, bytesSent: 0n, bytesFilled: 0n, heldBytes: 0n }),
      disks: () => [],
      requestHeadroom: () => 1,
      headroom: () => undefined,
      fillHeadroom: () => 1,
      fillProgress: () => undefined,
      isDraining: () => draining,
    },
    lease: undefined,
    onLease: () => {},
    manifest: new ManifestFile("/nonexistent"),
    onManifest: () => {},
    escalation: { steps: undefined, note: () => {} },
    heat: { journalId: "j", next: () => undefined, acknowledge: () => {} },
  });
  context.after(async () => {
    await member.stop();
    server.forceShutdown();
  });
  member.start();
  return { member, beats, registered: () => registered, setDraining: () => (draining = true) };
}

async function until(condition: () => boolean): Promise<void> {
  const end = performance.now() + 20_000;
  while (!condition()) {
    assert.ok(performance.now() < end, "it did not happen in time");
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

test("FleetMember registers again soon when the control plane has forgotten it, not only with the next heartbeat", async (context) => {
  const { registered, beats } = await openBench(context, (beat) => ({ registerAgain: beat === 1 }));
  await until(() => registered() === 2 && beats.length === 2);
});

test("FleetMember's hurry() while a heartbeat is under way sends another one after it", async (context) => {
  let release = () => {};
  const held = new Promise<void>((resolve) => (release = resolve));
  const { member, beats, setDraining } = await openBench(context, async (beat) => {
    if (beat === 1) await held;
    return {};
  });
  await until(() => beats.length === 1);
  setDraining();
  member.hurry();
  release();
  await until(() => beats.length === 2);
  assert.equal(beats[1]!.state, ApplianceState.APPLIANCE_STATE_DRAINING);
});

test("FleetMember's stop() ends its waiting, and takes no heartbeat more", async (context) => {
  const { member, beats } = await openBench(context, () => ({}));
  await until(() => beats.length === 1 && member.connected);
  await member.stop();
  assert.equal(beats.length, 1);
});
