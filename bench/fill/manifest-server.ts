// A control plane that gives one manifest, and ranks sources as it is told: what the fill of an appliance is measured and tested with.
import { Server, ServerCredentials } from "@grpc/grpc-js";
import {
  FillServiceService,
  SourceScope,
  type FillServiceServer,
  type ManifestEntry,
  type RankSourcesResponse,
} from "../../fill-protocol/generated/millrace/fill/v1/fill.js";
import {
  FleetServiceService,
  type FleetServiceServer,
  type HeartbeatRequest,
} from "../../fill-protocol/generated/millrace/fleet/v1/fleet.js";

const heartbeatEveryMs = 200;

export type ManifestObject = Pick<ManifestEntry, "path" | "etag"> & { sizeBytes: number; urgent?: boolean };

export interface ManifestServer {
  /** As the settings of an appliance name it. */
  url: string;
  /** What every appliance that asks should hold from now on. */
  setManifest(objects: readonly ManifestObject[]): void;
  /** What RankSources answers from now on. */
  setSources(answer: Partial<RankSourcesResponse>): void;
  /** The last heartbeat of each appliance, by its id. */
  readonly heartbeats: ReadonlyMap<string, HeartbeatRequest>;
  close(): void;
}

/** Answers on a free port of 127.0.0.1. */
export async function openManifestServer(): Promise<ManifestServer> {
  let version = 1n;
  let entries: ManifestEntry[] = [];
  let ranked: RankSourcesResponse = { sources: [], steps: [], fillMaster: false, validSeconds: 0 };
  const heartbeats = new Map<string, HeartbeatRequest>();
  const lease = () => ({
    leaseId: "lease",
    issuedAtUnixMs: BigInt(Date.now()),
    expiresAtUnixMs: BigInt(Date.now() + 86_400_000),
    tokenKeys: [],
    revokedSessions: [],
    tokenKeysVersion: "",
  });
  const fleet: FleetServiceServer = {
    register: (_call, done) => done(null, { lease: lease(), heartbeatEveryMs, expiresAfterMs: 10 * heartbeatEveryMs }),
    heartbeat: ({ request }, done) => {
      heartbeats.set(request.applianceId, request);
      done(null, { registerAgain: false, reportAllHoldings: false, manifestVersion: version, tokenKeysVersion: "" });
    },
    renewLease: (_call, done) => done(null, { lease: lease() }),
    revokeSession: (_call, done) => done(null, { untilUnixMs: 0n }),
    listAppliances: (_call, done) => done(null, { appliances: [] }),
    fetchRegistry: (_call, done) => done(null, { version: 1n, whole: true, appliances: [], preserving: false }),
  };
  const fill: FillServiceServer = {
    fetchManifest: (call) => {
      call.write({ version, entries, baseVersion: 0n, firstEntry: 0n, entriesTotal: BigInt(entries.length) });
      call.end();
    },
    rankSources: (_call, done) => done(null, ranked),
    reportHeat: ({ request }, done) => done(null, { acknowledgedSequence: request.sequence }),
    reportHoldings: ({ request }, done) => done(null, { acknowledgedSequence: request.sequence }),
  };
  const server = new Server();
  server.addService(FleetServiceService, fleet);
  server.addService(FillServiceService, fill);
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) => (error ? reject(error) : resolve(bound)));
  });
  return {
    url: `grpc://127.0.0.1:${port}`,
    heartbeats,
    setManifest: (objects) => {
      version++;
      entries = objects.map(({ path, etag, sizeBytes, urgent = false }) => ({
        path,
        etag,
        sizeBytes: BigInt(sizeBytes),
        urgent,
        stratum: 0,
        removed: false,
      }));
    },
    setSources: (answer) => {
      ranked = { sources: [], steps: [], fillMaster: false, validSeconds: 0, ...answer };
    },
    close: () => server.forceShutdown(),
  };
}

/** A source of the own cluster, as RankSources names it. */
export function clusterSource(dataUrl: string, applianceId = ""): RankSourcesResponse["sources"][number] {
  return { dataUrl, scope: SourceScope.SOURCE_SCOPE_CLUSTER, hops: 0, applianceId };
}
