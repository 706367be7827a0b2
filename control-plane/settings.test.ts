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
    authentication: { required: false, services: [] },
    billing: { required: false, every: 10_000, retryDays: [1, 3, 5, 7] },
    login: {
      accessTokens: { validFor: 600_000 },
      refreshTokens: { validFor: 30 * 86_400_000 },
      keys: { rotateEvery: 30 * 86_400_000 },
      passwords: { memory: 19 * 2 ** 20, iterations: 2, atOnceMax: 2, waitingMax: 100 },
      lockout: { failuresMax: 10, window: 900_000, first: 900_000, max: 86_400_000 },
      rates: { window: 3_600_000, signInsPerAddress: 200, mailsPerAddress: 50, tokensPerAddress: 5000, mailsPerRecipient: 5 },
      devicesMax: 10,
      profilesMax: 5,
      mail: { url: "files:./var/mail", from: "Millrace <millrace@localhost>" },
      audit: { keptFor: 180 * 86_400_000 },
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
  assert.match(refused("authentication: { required: true }\n"), /required needs an applianceSecret/);
  assert.match(refused("authentication: { applianceSecret: short }\n"), /32 characters or more/);
  assert.match(refused("login: { mail: { url: 'http://x' } }\n"), /Expected a URL such as smtp:/);
  assert.match(refused("shared: redis://127.0.0.1\n"), /Copies can't share a SQLite file/);
  assert.match(refused("shared: 127.0.0.1\n"), /Expected memory: or a URL such as redis:/);
});
