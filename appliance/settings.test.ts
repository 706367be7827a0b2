import assert from "node:assert/strict";
import { test } from "node:test";
import { OperatingError } from "../runtime/operating-error.js";
import { parseSettings } from "../runtime/settings-file.js";
import { applianceSettings } from "./settings.js";

const smallest = `listen: { port: 8080 }
disks: [ { path: ./d1, size: 20GiB } ]
upstreams: [ { url: "http://127.0.0.1:9000/" } ]
`;

function mistakesOf(text: string): string[] {
  try {
    parseSettings(text, "a.yaml", applianceSettings);
  } catch (error) {
    assert.ok(error instanceof OperatingError);
    assert.equal(error.code, "settings-invalid");
    const [title, ...mistakes] = error.message.split("\n  ");
    assert.equal(title, "Cannot use settings file a.yaml:");
    return mistakes;
  }
  assert.fail("settings were accepted");
}

test("applianceSettings takes every key of an appliance's file, with units", () => {
  const settings = parseSettings(
    `
listen: { host: 127.0.0.1, port: 8080, tls: { cert: c.pem, key: k.pem } }   # no tls = plain HTTP
admin:  { host: 127.0.0.1, port: 8081 }
workers: 2
ram: 2GiB
chunk: 1MiB
index: ./var/index
disks: [ { path: ./var/disk1, size: 20GiB } ]
miss: fill
upstreams:
  - { url: "http://127.0.0.1:9000/" }
  - { url: "appliance://127.0.0.1:9001" }
  - { url: "file:///srv/films" }
tokens: { required: false }
controlPlane: { url: "grpc://127.0.0.1:7000" }
site: { id: isp-1, cluster: isp-1-a, role: edge }
fill: { silenceTimeout: 250ms }
`,
    "a.yaml",
    applianceSettings,
  );
  assert.deepEqual(settings.listen.tls, { cert: "c.pem", key: "k.pem", others: [] });
  assert.deepEqual([settings.ram, settings.chunk, settings.disks[0]!.size], [2 ** 31, 2 ** 20, 20 * 2 ** 30]);
  assert.deepEqual(settings.site, { id: "isp-1", cluster: "isp-1-a", role: "edge" });
  assert.equal(settings.fill.silenceTimeout, 250);
  assert.equal(settings.upstreams.length, 3);
});

test("applianceSettings has a default for all but listen, disks and upstreams", () => {
  const settings = parseSettings(smallest, "a.yaml", applianceSettings);
  assert.ok(settings.workers >= 1);
  const { workers: _, ...others } = settings;
  assert.deepEqual(others, {
    listen: { host: "127.0.0.1", port: 8080 },
    admin: { host: "127.0.0.1", port: 8081 },
    ram: 2 ** 30,
    chunk: 2 ** 20,
    index: "./var/index",
    disks: [{ path: "./d1", size: 20 * 2 ** 30 }],
    disk: { demandShare: 0.1, syncBytes: 32 * 2 ** 20, syncEvery: 1000, writeTimeout: 30_000 },
    miss: "fill",
    upstreams: [{ url: "http://127.0.0.1:9000/" }],
    tokens: { required: false, keys: [], revokedSessions: [] },
    clients: { allow: [], deny: [], unlimited: [] },
    memory: {},
    pacing: { burst: 524_288, followPlayers: false },
    serverTiming: false,
    cmcd: { warm: true },
    site: { id: "site-1", role: "edge" },
    fill: {
      fetches: 64,
      waiting: 4096,
      manifestFetches: 4,
      connections: 32,
      connectTimeout: 2000,
      silenceTimeout: 10_000,
      hedgeAfter: 1000,
      totalTimeout: 30_000,
      readAhead: 2,
      windows: [],
      readP99Limit: 50,
      timeZone: Intl.DateTimeFormat().resolvedOptions().timeZone,
    },
    heat: { interval: 300_000 },
    revalidateAfter: 60_000,
    limits: {
      requestsPerWorker: 20_000,
      fillRequestsPerWorker: 256,
      objectsPerWorker: 100_000,
      readsPerDisk: 8,
      directReads: true,
      waitingReadsPerDisk: 1024,
      diskReadTimeout: 1000,
    },
    scrub: { every: 2_592_000_000 },
    drain: { deadline: 30_000 },
    log: { level: "info" },
  });
  assert.ok(Object.isFrozen(settings.limits));
});

test("applianceSettings takes chunks of one byte, with a disk of one extent", () => {
  const text = "listen: { port: 0 }\nchunk: 1\nram: 64KiB\ndisks: [ { path: d, size: 36864 } ]\nupstreams: []\n";
  assert.equal(parseSettings(text, "a.yaml", applianceSettings).chunk, 1);
  // A page for the extent, and four slots of two pages.
  assert.deepEqual(mistakesOf(text.replace("36864", "36863")), [
    "a.yaml:4:21: disks.0.size: Expected room for at least one extent of 36864 bytes: 4 chunks with their headers, in whole pages",
  ]);
});

test("applianceSettings names what is wrong, and where", () => {
  for (const [line, mistake] of [
    ["lsten: 1", /^a\.yaml:4:1: Unknown key "lsten"$/],
    ["limits: { reads: 1 }", /^a\.yaml:4:11: Unknown key "limits\.reads"$/],
    ["workers: 0", /^a\.yaml:4:1: workers: .*>=1/],
    ["workers: 65", /^a\.yaml:4:1: workers: .*<=64/],
    ["workers: two", /^a\.yaml:4:1: workers: .*expected number/],
    ["ram: lots", /^a\.yaml:4:1: ram: Expected an amount of bytes such as 64KiB or 20GiB: received "lots"$/],
    ["ram: -5", /^a\.yaml:4:1: ram: Expected an amount of bytes such as 64KiB or 20GiB: received -5$/],
    ["ram: 1.5", /^a\.yaml:4:1: ram: Expected an amount of bytes such as 64KiB or 20GiB: received 1.5$/],
    ["ram: 7MiB", /^a\.yaml:4:1: ram: Expected room for at least 8 chunks of 1048576 bytes$/],
    ["chunk: 65MiB", /^a\.yaml:4:1: chunk: Expected at most 64MiB$/],
    ["chunk: 0", /^a\.yaml:4:1: chunk: Expected an amount of bytes such as 64KiB or 20GiB: received 0$/],
    ["miss: guess", /^a\.yaml:4:1: miss: .*"fill"\|"redirect"\|"reject"/],
    [
      "tokens: { required: true }",
      /^a\.yaml:4:11: tokens\.required: tokens\.keys is empty and there is no controlPlane to bring any, so every request would be refused$/,
    ],
    ["site: { id: -x }", /^a\.yaml:4:9: site\.id: Expected letters, digits, dots and dashes, at most 63$/],
    ["site: { id: a, role: middle }", /^a\.yaml:4:16: site\.role: .*"edge"\|"storage"/],
    ["revalidateAfter: 60", /^a\.yaml:4:1: revalidateAfter: Expected a length of time such as 250ms, 10s or 12h: received 60$/],
    ["drain: { deadline: soon }", /^a\.yaml:4:10: drain\.deadline: Expected a length of time such as 250ms, 10s or 12h: received "soon"$/],
    ["log: { level: loud }", /^a\.yaml:4:8: log\.level: .*"debug"/],
    ["fill: { fetches: 0 }", /^a\.yaml:4:9: fill\.fetches: .*>=1/],
    ["admin: { port: 70000 }", /^a\.yaml:4:10: admin\.port: .*<=65535/],
  ] as const) {
    const mistakes = mistakesOf(`${smallest}${line}\n`);
    assert.equal(mistakes.length, 1, line);
    assert.match(mistakes[0]!, mistake);
  }
});

test("applianceSettings names what is missing", () => {
  assert.deepEqual(
    mistakesOf("workers: 1\n").map((mistake) => mistake.replace(/^a\.yaml:\d+:\d+: (\w+): .*/, "$1")),
    ["listen", "disks", "upstreams"],
  );
  assert.match(mistakesOf(smallest.replace(/disks:.*/, "disks: []")).join(), /a\.yaml:2:1: disks: .*>=1/);
});

test("applianceSettings refuses one disk twice, and a redirect to nowhere", () => {
  const twice = smallest.replace(/disks:.*/, "disks:\n  - { path: d, size: 1GiB }\n  - { path: d, size: 1GiB }");
  assert.deepEqual(mistakesOf(twice), ["a.yaml:4:7: disks.1.path: d is named twice"]);
  const redirect = `${smallest.replace("http://127.0.0.1:9000/", "file:///srv")}miss: redirect\n`;
  assert.deepEqual(mistakesOf(redirect), ["a.yaml:4:1: miss: redirect needs an upstream that players can reach by http or https"]);
});
