// The film in a real browser: it plays, and goes on when the edge that serves it is killed.
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { packageRoot } from "../runtime/package-root.js";
import { openBrowser, openPage, waitForPlayer } from "./support/browser.js";
import { startDemo, type RunningDemo } from "./support/start-demo.js";
import { temporaryFolder } from "./support/temporary-folder.js";
import { waitUntil } from "./support/wait-until.js";

const folder = temporaryFolder();
let demo: RunningDemo;

before(async () => {
  demo = await startDemo(folder);
});
after(async () => {
  const { code, stderr } = await demo.interrupt();
  assert.equal(code, 0, stderr);
});

interface FleetAnswer {
  appliances: { id: string; siteId: string; state: string; dataUrl: string }[];
}

async function readFleet(): Promise<FleetAnswer["appliances"]> {
  return ((await (await fetch(`${demo.gateway}api/fleet`)).json()) as FleetAnswer).appliances;
}

test("the film plays from the first URL, and from the other site after kill -9 of the serving edge, with no error shown", async (t) => {
  const browser = await openBrowser(t);
  if (!browser) return;
  const { page, mishaps } = await openPage(browser, `${demo.player}?title=clock`);
  const started = await waitForPlayer(page, (player) => player.currentTime > 3 && player.decodedFrames > 30);
  const fleet = await readFleet();
  const serving = fleet.find(({ id }) => id === started.applianceId)!;
  assert.equal(serving.siteId, "isp-1", "the nearest site serves");
  assert.ok(
    started.requests.some(({ range }) => range !== ""),
    "players ask for ranges",
  );
  const edge = demo.appliances.find(({ data }) => data === serving.dataUrl)!;
  process.kill(demo.processes[edge.name]!, "SIGKILL");
  let position = started.currentTime;
  const later = await waitForPlayer(page, (player) => player.failovers > 0 && player.currentTime > started.currentTime + 12, {
    deadlineMs: 60_000,
    onSnapshot: (player) => {
      assert.equal(player.notice, "", "no error is shown");
      assert.ok(player.currentTime >= position, "the film never jumps back");
      position = player.currentTime;
    },
  });
  assert.ok(later.decodedFrames > started.decodedFrames);
  const other = fleet.find(({ id }) => id === later.applianceId);
  assert.ok(
    later.appliances.some(({ applianceId, requests }) => applianceId !== serving.id && requests > 0),
    "another appliance has served",
  );
  assert.ok(other);
  assert.deepEqual(mishaps, []);
});

test("shaka-player plays the DASH manifest from an edge", async (t) => {
  const browser = await openBrowser(t);
  if (!browser) return;
  // An edge of its own accord; the player page only lends its origin.
  const context = await browser.newContext({ bypassCSP: true });
  const page = await context.newPage();
  await page.goto(`${demo.gateway}console`);
  await page.addScriptTag({ path: join(packageRoot, "node_modules/shaka-player/dist/shaka-player.compiled.js") });
  const edge = demo.appliances.find(({ name }) => name === "edge-2")!;
  const load = `(async () => {
    const video = document.createElement("video");
    video.muted = true;
    document.body.append(video);
    window.shakaVideo = video;
    const player = new shaka.Player();
    await player.attach(video);
    await player.load(${JSON.stringify(`${edge.data}clock/clock.mpd`)});
    await video.play();
  })()`;
  await page.evaluate(load);
  await waitUntil("shaka plays", async () => {
    const [time, frames] = await page.evaluate<[number, number]>(
      "[shakaVideo.currentTime, shakaVideo.getVideoPlaybackQuality().totalVideoFrames]",
    );
    return time > 2 && frames > 20;
  });
});

test("the console shows the fleet", async (t) => {
  const browser = await openBrowser(t);
  if (!browser) return;
  await waitUntil("all are live", async () => (await readFleet()).filter(({ state }) => state === "live").length === 3);
  const { page, mishaps } = await openPage(browser, demo.console);
  await waitUntil("every site is on the page", async () => {
    const text = await page.innerText("body");
    return ["isp-1", "isp-2", "exchange-1"].every((site) => text.includes(site));
  });
  await waitUntil("every breaker is on the page, closed", async () => {
    const rows = await page.locator("#service-rows tr").count();
    return rows >= 7 && (await page.locator('#service-rows tr[data-breaker="closed"]').count()) === rows;
  });
  assert.match(await page.innerText("#services-words"), /one copy \(1 serving\)/);
  assert.deepEqual(mishaps, []);
});
