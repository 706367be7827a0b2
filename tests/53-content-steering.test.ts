// Stock players follow content steering: an appliance is drained by an operator, or killed, and hls.js and shaka-player go on at another.
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { Page } from "playwright-core";
import { packageRoot } from "../runtime/package-root.js";
import { openBrowser } from "./support/browser.js";
import { runMillrace } from "./support/run-millrace.js";
import { startDemo, type RunningDemo } from "./support/start-demo.js";
import { temporaryFolder } from "./support/temporary-folder.js";
import { waitUntil } from "./support/wait-until.js";

let demo: RunningDemo;
before(async () => {
  demo = await startDemo(temporaryFolder());
});
after(async () => {
  await demo.interrupt();
});

interface Playback {
  steering: { hls: string; dash: string };
  urls: { applianceId: string; siteId: string; hls: string }[];
}

async function startPlayback(): Promise<Playback> {
  const response = await fetch(`${demo.gateway}api/playback`, { method: "POST", body: JSON.stringify({ titleId: "clock" }) });
  assert.equal(response.status, 200);
  return (await response.json()) as Playback;
}

interface SteeringManifest {
  VERSION: number;
  TTL: number;
  "RELOAD-URI": string;
  "PATHWAY-PRIORITY": string[];
  "PATHWAY-CLONES"?: { "BASE-ID": string; ID: string; "URI-REPLACEMENT": Record<string, unknown> }[];
}

const order = (verb: "drain" | "resume", applianceId: string) =>
  runMillrace(["fleet", verb, applianceId, "--control-plane", demo.controlPlane, ...(verb === "drain" ? ["--reason", "new disks"] : [])]);

test("the steering manifest has version, TTL, reload URI, priorities and clones, and believes no made-up session", async () => {
  const { steering, urls } = await startPlayback();
  const document = await (await fetch(new URL(steering.hls, demo.gateway))).text();
  const uri = /#EXT-X-CONTENT-STEERING:SERVER-URI="([^"]+)",PATHWAY-ID="([^"]+)"/.exec(document)!;
  assert.equal(uri[2], urls[0]!.applianceId);
  const ask = async (more: string) => {
    const response = await fetch(new URL(`${uri[1]}${more}`, demo.gateway));
    assert.equal(response.headers.get("content-type"), "application/json");
    return (await response.json()) as SteeringManifest;
  };
  const manifest = await ask(`&_HLS_pathway="${urls[0]!.applianceId}"&_HLS_throughput=90000000`);
  assert.equal(manifest.VERSION, 1);
  assert.ok(manifest.TTL >= 1);
  assert.ok(manifest["RELOAD-URI"].startsWith(`${demo.gateway}api/steering/hls?session=`));
  assert.deepEqual(
    manifest["PATHWAY-PRIORITY"],
    urls.map(({ applianceId }) => applianceId),
  );
  assert.equal(manifest["PATHWAY-CLONES"], undefined, "the playlist has them all");
  // A player that reports far less than the film needs is sent elsewhere; another one is not.
  const report = `&_HLS_pathway=${urls[0]!.applianceId}&_HLS_throughput=1000`;
  const slow = await ask(report);
  assert.equal(slow["PATHWAY-PRIORITY"][0], urls[1]!.applianceId);
  const other = new URL((await startPlayback()).steering.hls, demo.gateway);
  other.pathname = "/api/steering/hls";
  assert.equal(((await (await fetch(other)).json()) as SteeringManifest)["PATHWAY-PRIORITY"][0], urls[0]!.applianceId);
  // One that knows only the first gets the others as clones with the URI of each variant.
  const known = new URL(`${uri[1]}`, demo.gateway);
  known.searchParams.set("known", urls[0]!.applianceId);
  const cloned = (await (await fetch(known)).json()) as SteeringManifest;
  assert.deepEqual(new Set(cloned["PATHWAY-CLONES"]!.map(({ ID }) => ID)), new Set(urls.slice(1).map(({ applianceId }) => applianceId)));
  assert.ok(Object.keys(cloned["PATHWAY-CLONES"]![0]!["URI-REPLACEMENT"]["PER-VARIANT-URIS"] as object).length > 0);
  for (const session of ["", "x", "e30.AAAA", encodeURIComponent(`${new URL(known).searchParams.get("session")}x`)]) {
    const refused = await fetch(`${demo.gateway}api/steering/hls?session=${session}`);
    assert.equal(refused.status, 404, session);
  }
});

/** A page of the gateway's origin with the player's own script; what it fetched media from is in `hosts`. */
async function openPlayer(page: Page, { script, play }: { script: string; play: string }) {
  const hosts: string[] = [];
  page.on("request", (request) => {
    const { host, pathname } = new URL(request.url());
    if (/\.(m4s|mp4)$/.test(pathname)) hosts.push(host);
  });
  await page.goto(`${demo.gateway}console`);
  await page.addScriptTag({ path: join(packageRoot, "node_modules", script) });
  await page.evaluate(`(async () => {
    const video = document.createElement("video");
    video.muted = true;
    document.body.append(video);
    Object.assign(window, { video, mishaps: [] });
    ${play}
    await video.play();
  })()`);
  const position = () => page.evaluate<number>("video.currentTime");
  const mishaps = () => page.evaluate<string[]>("mishaps");
  return { hosts, position, mishaps };
}

const players = {
  "hls.js": (url: string) => ({
    script: "hls.js/dist/hls.min.js",
    // A short buffer, so that the player is still fetching when it is told to move.
    play: `const hls = new Hls({ maxBufferLength: 6, maxMaxBufferLength: 6 });
      hls.on(Hls.Events.ERROR, (_, data) => data.fatal && mishaps.push(data.details));
      hls.loadSource(${JSON.stringify(url)});
      hls.attachMedia(video);
      await new Promise((resolve) => hls.on(Hls.Events.MANIFEST_PARSED, resolve));`,
  }),
  "shaka-player": (url: string) => ({
    script: "shaka-player/dist/shaka-player.compiled.js",
    play: `const player = new shaka.Player();
      await player.attach(video);
      player.configure({ streaming: { bufferingGoal: 6, rebufferingGoal: 1 } });
      player.addEventListener("error", (event) => mishaps.push(String(event.detail?.code)));
      await player.load(${JSON.stringify(url)});`,
  }),
};

for (const [name, format] of [
  ["shaka-player", "dash"],
  ["hls.js", "hls"],
] as const) {
  test(`${name} moves to another appliance when the one that serves it is drained, and the film goes on`, async (t) => {
    const browser = await openBrowser(t);
    if (!browser) return;
    const { steering, urls } = await startPlayback();
    const first = urls[0]!;
    const firstHost = new URL(first.hls).host;
    const page = await (await browser.newContext({ bypassCSP: true })).newPage();
    const { hosts, position, mishaps } = await openPlayer(page, players[name](new URL(steering[format], demo.gateway).href));
    await waitUntil("the film plays from the first appliance", async () => (await position()) > 1 && hosts.includes(firstHost));
    assert.deepEqual(new Set(hosts), new Set([firstHost]));
    const drained = await order("drain", first.applianceId);
    assert.equal(drained.code, 0, drained.stderr);
    t.after(() => order("resume", first.applianceId));
    const before = hosts.length;
    await waitUntil("the player has moved", () => hosts.slice(before).some((host) => host !== firstHost), 30_000);
    const at = await position();
    await waitUntil("the film goes on", async () => (await position()) > at + 4, 30_000);
    // Sound and picture move one after the other.
    await waitUntil("the others serve on", () => hosts.slice(before).filter((host) => host !== firstHost).length >= 6, 30_000);
    if (name === "hls.js") {
      const serving = hosts.at(-1)!;
      process.kill(demo.processes[demo.appliances.find(({ data }) => new URL(data).host === serving)!.name]!, "SIGKILL");
      const then = await position();
      await waitUntil("the film goes on after kill -9", async () => (await position()) > then + 8, 40_000);
    }
    assert.deepEqual(await mishaps(), []);
  });
}
