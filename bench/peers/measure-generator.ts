// The generator measured against the bare floor: what it can do at most, so that nobody takes its limits for a server's.
import { floorPeer } from "./floor-peer.js";
import type { Cores } from "./processor-cores.js";
import { runOnPeers } from "./run-on-peers.js";
import type { ResultBuilder } from "../report/result-builder.js";
import type { Workload } from "../workloads/workload-table.js";

const set = { objects: 16, objectSize: "8MiB" } as const;

const measurements: readonly Workload[] = [
  { name: "small", title: "100-byte bodies: requests per second", flags: { ...set, range: "100", connections: 64, verify: "none" } },
  {
    name: "small-verified",
    title: "100-byte bodies, a sample verified",
    flags: { ...set, range: "100", connections: 64, verify: "sample" },
  },
  { name: "large", title: "2 MiB bodies: bytes per second", flags: { ...set, range: "2MiB", connections: 16, verify: "none" } },
  { name: "large-verified", title: "2 MiB bodies, a sample verified", flags: { ...set, range: "2MiB", connections: 16, verify: "sample" } },
  {
    name: "large-all-verified",
    title: "2 MiB bodies, every byte verified",
    flags: { ...set, range: "2MiB", connections: 16, verify: "all" },
  },
];

export interface GeneratorRequest {
  duration: string;
  rounds: number;
  cores: Cores;
  signal: AbortSignal;
}

export async function measureGenerator({ duration, rounds, cores, signal }: GeneratorRequest, result: ResultBuilder): Promise<boolean> {
  return runOnPeers(
    {
      peers: [floorPeer],
      steps: (["http", "https"] as const).flatMap((scheme) =>
        measurements.map((workload) => ({
          workload,
          scheme,
        })),
      ),
      typed: {
        duration,
        rounds,
      },
      cores,
      signal,
      files: null,
      memoryBytes: null,
      generator: "millrace",
      workers: 1,
      midRun: null,
    },
    result,
  );
}
