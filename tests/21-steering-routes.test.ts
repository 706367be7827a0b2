// Routes that change: a real BGP speaker announces and withdraws, a file of prefixes is edited, and clients move within two seconds.
import assert from "node:assert/strict";
import { renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { stringify } from "yaml";
import { ControlPlaneClient } from "../control-plane/control-plane-client.js";
import { freeBgpPort, startBgpDaemon, type BgpDaemon } from "./support/bgp-daemon.js";
import { requireProgram } from "./support/require-program.js";
import { startMillrace } from "./support/run-millrace.js";
import { joinFleet } from "./support/talking-appliance.js";
import { temporaryFolder } from "./support/temporary-folder.js";
import { waitUntil } from "./support/wait-until.js";

/** The promise: from the withdrawal to the first answer without the site. */
const movedWithinMs = 2000;
/** A speaker refuses next hops on the loopback. */
const via4 = ["nexthop", "192.0.2.1"];
const sites = ["isp-1", "isp-2", "isp-3"];

async function openNetwork(t: TestContext, routes: Record<string, unknown>) {
  const folder = temporaryFolder();
  const config = join(folder, "control-plane.yaml");
  const settings = {
    listen: { port: 0 },
    admin: { port: 0 },
    database: `sqlite:${folder}/control-plane.db`,
    sites: sites.map((id) => ({ id })),
    routes,
  };
  writeFileSync(config, stringify(settings));
  const running = await startMillrace(["control-plane", "--config", config]);
  t.after(() => running.kill());
  const grpcPort = Number(running.ready["grpcPort"]);
  const client = new ControlPlaneClient(`grpc://127.0.0.1:${grpcPort}`, { deadlineMs: 10_000 });
  t.after(() => client.close());
  for (const siteId of sites) await joinFleet(t, grpcPort, { id: `box-${siteId}`, siteId, holds: [] });
  const ask = async (clientAddress: string) => {
    const { ranked, matchedPrefix } = await client.rankAppliances({
      clientAddress,
      paths: ["x"],
      everyBox: false,
      sessionId: "",
      bitsPerSecond: 0n,
    });
    return `${ranked[0]!.siteId} ${matchedPrefix}`;
  };
  const waitFor = (clientAddress: string, expected: string, deadlineMs = movedWithinMs) =>
    waitUntil(`${clientAddress} goes to ${expected}`, async () => (await ask(clientAddress)) === expected, deadlineMs);
  return { ask, waitFor, log: () => running.log() };
}

test("announcements, better paths and withdrawals of a BGP neighbour move clients within two seconds", async (t) => {
  if (!requireProgram(t, "gobgpd") || !requireProgram(t, "gobgp")) return;
  const folder = temporaryFolder();
  const [apiPort, bgpPort, ...more] = await Promise.all(Array.from({ length: 6 }, freeBgpPort));
  const routers = ["127.0.0.2", "127.0.0.3"].map((address, at) => ({
    address,
    asn: 65_001 + at,
    bgpPort: more[2 * at]!,
    apiPort: more[2 * at + 1]!,
  }));
  const neighbors = routers.map(({ address, asn, bgpPort }) => ({ address, asn, port: bgpPort, passive: true }));
  const listener = { folder, name: "listener", address: "127.0.0.1", asn: 65_000, bgpPort: bgpPort!, apiPort: apiPort!, neighbors };
  await startBgpDaemon(t, listener);
  const speakers: BgpDaemon[] = [];
  for (const router of routers) {
    const neighbor = { address: "127.0.0.1", asn: 65_000, port: bgpPort! };
    speakers.push(await startBgpDaemon(t, { folder, name: `router-${router.asn}`, ...router, neighbors: [neighbor] }));
  }
  const [first, second] = speakers as [BgpDaemon, BgpDaemon];
  // One route is there before the control plane listens, the others come later.
  await first.ask("global", "rib", "add", "198.51.100.0/24", ...via4, "med", "50", "-a", "ipv4");
  const url = `grpc://127.0.0.1:${apiPort}`;
  const byNeighbor = routers.map(({ address }, at) => ({ address, site: sites[at]! }));
  const network = await openNetwork(t, { bgp: [{ url, neighbors: byNeighbor }] });
  await network.waitFor("198.51.100.7", "isp-1 198.51.100.0/24", 45_000);

  await second.ask("global", "rib", "add", "198.51.100.0/25", ...via4, "-a", "ipv4");
  await network.waitFor("198.51.100.7", "isp-2 198.51.100.0/25");
  assert.equal(await network.ask("198.51.100.200"), "isp-1 198.51.100.0/24");

  // The same prefix from both: the lower MED wins, as the paths are equally long.
  await second.ask("global", "rib", "add", "198.51.100.0/24", ...via4, "med", "10", "-a", "ipv4");
  await network.waitFor("198.51.100.200", "isp-2 198.51.100.0/24");

  await second.ask("global", "rib", "del", "198.51.100.0/25", "-a", "ipv4");
  await second.ask("global", "rib", "del", "198.51.100.0/24", "-a", "ipv4");
  await network.waitFor("198.51.100.7", "isp-1 198.51.100.0/24");

  await second.ask("global", "rib", "add", "2001:db8::/32", "nexthop", "2001:db8:ffff::1", "-a", "ipv6");
  await network.waitFor("2001:db8::1", "isp-2 2001:db8::/32");
  await second.ask("global", "rib", "del", "2001:db8::/32", "-a", "ipv6");
  await network.waitFor("2001:db8::1", "isp-1 ");

  // A router that dies withdraws everything by its silence.
  await first.kill();
  await network.waitFor("198.51.100.7", "isp-1 ", 15_000);
});

test("a speaker that is one site's moves clients too, keeps its routes over a restart, and a route that is gone then is withdrawn", async (t) => {
  if (!requireProgram(t, "gobgpd") || !requireProgram(t, "gobgp")) return;
  const folder = temporaryFolder();
  const [apiPort, bgpPort] = await Promise.all([freeBgpPort(), freeBgpPort()]);
  const options = { folder, name: "speaker", address: "127.0.0.1", asn: 65_000, bgpPort: bgpPort!, apiPort: apiPort! };
  const speaker = await startBgpDaemon(t, options);
  const network = await openNetwork(t, { bgp: [{ url: `grpc://127.0.0.1:${apiPort}`, site: "isp-3" }] });
  await speaker.ask("global", "rib", "add", "203.0.113.0/24", "-a", "ipv4");
  await speaker.ask("global", "rib", "add", "192.0.2.0/24", "-a", "ipv4");
  await network.waitFor("203.0.113.9", "isp-3 203.0.113.0/24", 10_000);
  await network.waitFor("192.0.2.9", "isp-3 192.0.2.0/24");
  await speaker.ask("global", "rib", "del", "192.0.2.0/24", "-a", "ipv4");
  await network.waitFor("192.0.2.9", "isp-1 ");
  await speaker.kill();
  await waitUntil("the loss is noticed", () => network.log().includes("BGP speaker is away"));
  assert.equal(await network.ask("203.0.113.9"), "isp-3 203.0.113.0/24", "fail static");
  const again = await startBgpDaemon(t, { ...options, name: "speaker-again" });
  await again.ask("global", "rib", "add", "192.0.2.0/24", "-a", "ipv4");
  await network.waitFor("192.0.2.9", "isp-3 192.0.2.0/24", 10_000);
  await network.waitFor("203.0.113.9", "isp-1 ", 10_000);
});

test("a file of prefixes is taken over when it changes, and a mistake in it changes nothing", async (t) => {
  const file = join(temporaryFolder(), "prefixes.txt");
  writeFileSync(file, "# ours\n10.0.0.0/8 isp-2\n10.1.0.0/16 isp-3 2 10\n10.1.0.0/16 isp-1 2 20 # farther\n");
  const network = await openNetwork(t, { files: [{ path: file }] });
  assert.equal(await network.ask("10.1.0.1"), "isp-3 10.1.0.0/16");
  assert.equal(await network.ask("10.2.0.1"), "isp-2 10.0.0.0/8");
  // As an editor or a script replaces a file.
  const replace = (text: string) => {
    writeFileSync(`${file}.new`, text);
    renameSync(`${file}.new`, file);
  };
  replace("10.0.0.0/8 isp-2\n2001:db8::/32 isp-3\n");
  await network.waitFor("10.1.0.1", "isp-2 10.0.0.0/8");
  assert.equal(await network.ask("2001:db8::5"), "isp-3 2001:db8::/32");
  replace("10.0.0.0/8 isp-1\n10.300.0.0/16 isp-1\n");
  await waitUntil("the mistake is logged", () => network.log().includes("prefixes.txt:2: Expected PREFIX SITE"));
  assert.equal(await network.ask("10.1.0.1"), "isp-2 10.0.0.0/8");
  replace("10.0.0.0/8 isp-1\n");
  await network.waitFor("10.1.0.1", "isp-1 10.0.0.0/8");
});
