// A headless Chromium for whole-system tests of the pages.
//
//   test("the film plays", async (t) => {
//     const browser = await openBrowser(t);
//     if (!browser) return; // skipped: there is no Chromium on this machine
//     const { page, mishaps } = await openPage(browser, `${gatewayUrl}/?title=clock`);
//     const started = await waitForPlayer(page, (player) => player.currentTime > 2);
//     process.kill(pidOf(started.applianceId), "SIGKILL");
//     const later = await waitForPlayer(page, (player) => player.currentTime > started.currentTime + 10);
//     assert.equal(later.notice, "");
//     assert.equal(later.failovers, 1);
//     assert.deepEqual(mishaps, []);
//   });
//
// Chromium comes from Debian (`apt install chromium`); MILLRACE_CHROMIUM names another one. Where there is none the test is skipped, unless
// MILLRACE_TESTS_STRICT is set (`npm test -- --strict`): then it fails.
import assert from "node:assert/strict";
import { accessSync, constants } from "node:fs";
import type { TestContext } from "node:test";
import { type Browser, chromium, type Page } from "playwright-core";

const chromiumPath = process.env["MILLRACE_CHROMIUM"] ?? "/usr/bin/chromium";
/** A cold start of Chromium on a busy two-core machine took 4 s at its worst. */
const launchTimeoutMs = 30_000;
const defaultDeadlineMs = 30_000;
const pollEveryMs = 100;

/** Starts Chromium and closes it when the test ends. `undefined`: the test is marked as skipped, and has only to return. */
export async function openBrowser(t: TestContext): Promise<Browser | undefined> {
  try {
    accessSync(chromiumPath, constants.X_OK);
  } catch {
    const reason = `there is no Chromium at ${chromiumPath} (apt install chromium, or set MILLRACE_CHROMIUM)`;
    assert.ok(!process.env["MILLRACE_TESTS_STRICT"], `Cannot test: ${reason}`);
    t.skip(reason);
    return undefined;
  }
  const browser = await chromium.launch({
    executablePath: chromiumPath,
    timeout: launchTimeoutMs,
    args: [
      // Containers and CI run as root, where Chromium's sandbox refuses to start; only our own pages are loaded.
      "--no-sandbox",
      "--disable-gpu",
      "--disable-dev-shm-usage",
      "--disable-background-networking",
      "--autoplay-policy=no-user-gesture-required",
      "--mute-audio",
    ],
  });
  t.after(() => browser.close());
  return browser;
}

export interface OpenedPage {
  readonly page: Page;
  /**
   * What went wrong inside the page and no viewer sees: uncaught errors, and whatever the content security policy stopped. Grows while the page
   * lives. A request that failed is not among them: that is what failover tests cause.
   */
  readonly mishaps: readonly string[];
}

export interface PageOptions {
  /** Default 1280 × 900. A phone is 390 × 844. */
  readonly viewport?: { readonly width: number; readonly height: number };
  /** Default light. */
  readonly colorScheme?: "light" | "dark";
}

/** Opens `url` in a fresh context: no cookies, no cache. */
export async function openPage(browser: Browser, url: string, options: PageOptions = {}): Promise<OpenedPage> {
  const context = await browser.newContext({
    viewport: options.viewport ?? { width: 1280, height: 900 },
    colorScheme: options.colorScheme ?? "light",
  });
  const page = await context.newPage();
  const mishaps: string[] = [];
  page.on("pageerror", (error) => mishaps.push(`${error.name}: ${error.message}`));
  page.on("console", (message) => {
    if (message.type() === "error" && message.text().includes("Content Security Policy")) mishaps.push(message.text());
  });
  await page.goto(url);
  return { page, mishaps };
}

/** The player page at one moment; docs/pages.md says what `window.millrace` promises. */
export interface PlayerSnapshot {
  /** Seconds into the film. */
  readonly currentTime: number;
  readonly paused: boolean;
  readonly ended: boolean;
  /** Frames decoded since the title was chosen. */
  readonly decodedFrames: number;
  readonly titleId: string;
  /** Where the next request goes; empty when no appliance answers. */
  readonly applianceId: string;
  readonly failovers: number;
  /** How often the film stood still for want of data. */
  readonly stalls: number;
  /** What the page tells the viewer is wrong; empty when nothing is. */
  readonly notice: string;
  readonly appliances: readonly {
    readonly applianceId: string;
    readonly state: string;
    readonly requests: number;
    readonly bytes: number;
  }[];
  /** The last 50, newest first. */
  readonly requests: readonly { readonly applianceId: string; readonly file: string; readonly range: string; readonly failure: string }[];
}

// As text, because the tests are compiled without the types of a browser.
const snapshotExpression = `(() => {
  if (!window.millrace) return null;
  const { video, titleId, applianceId, failovers, stalls, notice, appliances, requests } = window.millrace;
  const { currentTime, paused, ended } = video;
  const decodedFrames = video.getVideoPlaybackQuality().totalVideoFrames;
  return { currentTime, paused, ended, decodedFrames, titleId, applianceId, failovers, stalls, notice, appliances, requests };
})()`;

/** `null` when this is not the player page, or its module has not run yet. */
async function readPlayer(page: Page): Promise<PlayerSnapshot | null> {
  return page.evaluate<PlayerSnapshot | null>(snapshotExpression);
}

/**
 * Looks at the player until `isDone` says so, and gives that snapshot.
 *
 * `onSnapshot` sees every one on the way: the place to assert what must never be, such as a notice during a failover.
 * @throws with the last snapshot in the message when the deadline passes.
 */
export async function waitForPlayer(
  page: Page,
  isDone: (player: PlayerSnapshot) => boolean,
  options: { readonly deadlineMs?: number; readonly onSnapshot?: (player: PlayerSnapshot) => void } = {},
): Promise<PlayerSnapshot> {
  const deadlineMs = options.deadlineMs ?? defaultDeadlineMs;
  const startedAtMs = performance.now();
  // Not page.waitForFunction(): it evaluates text inside the page, which the pages' content security policy refuses.
  for (;;) {
    const player = await readPlayer(page);
    if (player) {
      options.onSnapshot?.(player);
      if (isDone(player)) return player;
    }
    if (performance.now() - startedAtMs > deadlineMs) {
      const last = JSON.stringify({ ...player, requests: player?.requests.slice(0, 5) }, undefined, 1);
      assert.fail(`The player did not get there in ${deadlineMs / 1000} s; condition: ${isDone.toString()}; last seen: ${last}`);
    }
    await page.waitForTimeout(pollEveryMs);
  }
}
