import assert from "node:assert/strict";
import { test } from "node:test";
import { parseSettings } from "../runtime/settings-file.js";
import { controlPlaneSettings } from "./settings.js";

const refused = (text: string) => {
  try {
    parseSettings(text, "c.yaml", controlPlaneSettings);
  } catch (error) {
    return (error as Error).message;
  }
  assert.fail("settings were accepted");
};

test("controlPlaneSettings has a default for every key", () => {
  assert.deepEqual(parseSettings("", "c.yaml", controlPlaneSettings), {
    listen: { host: "127.0.0.1", port: 7000 },
    admin: { host: "127.0.0.1", port: 7001 },
    database: "sqlite:./var/control-plane.db",
    fleet: {
      heartbeatEvery: 2000,
      expiresAfter: 6000,
      drainedAfter: 30_000,
      selfPreservation: { share: 0.5, atLeast: 5, for: 600_000 },
      turnUp: "off",
    },
    shared: "memory:",
    lease: { validFor: 604_800_000 },
    tokens: { signUrls: false, urlsValidFor: 43_200_000, bindClients: false, rotateEvery: 604_800_000 },
    fillPlan: {
      every: 3_600_000,
      demandShare: 0.1,
      churnPerDay: 0.05,
      masters: 2,
      escalation: { masterOriginWait: 300_000, memberTierWait: 600_000, memberOriginWait: 3_600_000 },
      liveness: { clusters: 0, copies: 1 },
    },
    sites: [],
    routes: { files: [], bgp: [] },
    steering: {
      minUrls: 3,
      maxUrls: 10,
      minSites: 2,
      nominalBitsPerSecond: 5_000_000,
      reservationValidFor: 60_000,
      contentSteeringTtl: 10_000,
    },
    log: { level: "info" },
  });
});

test("controlPlaneSettings refuses unknown keys, broken prefixes, twice the same site and limits that contradict each other", () => {
  assert.match(refused("listen: { prot: 1 }\n"), /c\.yaml:1:\d+: Unknown key "listen\.prot"/);
  assert.match(refused("sites:\n  - id: a\n    prefixes: [10.0.0.0/33]\n"), /c\.yaml:3:\d+: .*Expected a prefix such as/);
  assert.match(refused("sites: [{ id: a }, { id: a }]\n"), /Two sites have the same id/);
  assert.match(refused("sites: [{ id: 'a b' }]\n"), /64 letters/);
  assert.match(refused("fleet: { heartbeatEvery: 2s, expiresAfter: 3s }\n"), /expiresAfter must be at least twice/);
  assert.match(refused("steering: { minUrls: 5, maxUrls: 4 }\n"), /minUrls must not be more than maxUrls/);
});
