// One test, run once for every database and every shared state that the control plane can have.
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { ManualClock } from "../../runtime/manual-clock.js";
import { openStore, type Store } from "../../control-plane/store/database.js";
import { openSharedState } from "../../control-plane/store/open-shared-state.js";
import type { SharedState } from "../../control-plane/store/shared-state.js";
import { startMariadb, startRedis, type MariadbServer, type TestServer } from "./database-servers.js";
import { requireProgram } from "./require-program.js";
import { temporaryFolder } from "./temporary-folder.js";

/** `npm run check`: what needs no server. */
const isQuick = process.env["MILLRACE_TESTS_QUICK"] === "1";

export interface StoreUnderTest {
  store: Store;
  kind: "sqlite" | "mariadb";
  /** Opens the same database once more, as another copy would. Closed with the first. */
  openCopy(): Promise<Store>;
  url: string;
  t: TestContext;
}

/** Registers the test twice, as "NAME [sqlite]" and "NAME [mariadb]", each with a fresh, migrated database. */
export function eachStore(name: string, use: (parts: StoreUnderTest) => Promise<void>): void {
  eachStoreUrl(name, async ({ url, kind, t }) => {
    const opened: Store[] = [];
    const openCopy = async () => {
      const store = await openStore(url);
      opened.push(store);
      return store;
    };
    try {
      await use({ store: await openCopy(), kind, openCopy, url, t });
    } finally {
      for (const store of opened) await store.destroy();
    }
  });
}

/** The same for tests that open the database themselves: `url` names one that has no tables yet. */
export function eachStoreUrl(
  name: string,
  use: (parts: { url: string; kind: StoreUnderTest["kind"]; t: TestContext }) => Promise<void>,
): void {
  test(`${name} [sqlite]`, async (t) => {
    await use({ url: `sqlite:${join(folder(), `${databases++}`, "control-plane.db")}`, kind: "sqlite", t });
  });
  if (isQuick) return;
  test(`${name} [mariadb]`, async (t) => {
    if (!requireProgram(t, "mariadbd") || !requireProgram(t, "mariadb-install-db")) return;
    await use({ url: await (await theMariadb()).makeDatabase(), kind: "mariadb", t });
  });
}

export interface SharedStateUnderTest {
  shared: SharedState;
  /** Another copy's view of the same state; the same object where there can be only one copy. */
  other: SharedState;
  kind: "memory" | "redis";
  /** Waits or turns the clock, so that `ms` have passed for the state. */
  pass(ms: number): Promise<void>;
}

/** Registers the test twice, as "NAME [memory]" and "NAME [redis]". Keys of other tests of the same file are there too: use names of your own. */
export function eachSharedState(name: string, use: (parts: SharedStateUnderTest) => Promise<void>): void {
  test(`${name} [memory]`, async () => {
    const clock = new ManualClock();
    const shared = await openSharedState("memory:", clock);
    await use({ shared, other: shared, kind: "memory", pass: async (ms) => clock.turn(ms) });
  });
  if (isQuick) return;
  test(`${name} [redis]`, async (t) => {
    if (!requireProgram(t, "redis-server")) return;
    const { url } = await theRedis();
    const clock = new ManualClock();
    const [shared, other] = [await openSharedState(url, clock), await openSharedState(url, clock)];
    try {
      // Its time is the server's own: really waited for.
      await use({ shared, other, kind: "redis", pass: (ms) => new Promise((resolve) => setTimeout(resolve, ms + 20)) });
    } finally {
      await shared.close();
      await other.close();
    }
  });
}

let databases = 0;
let made: string | undefined;
const folder = () => (made ??= temporaryFolder());
let mariadb: Promise<MariadbServer> | undefined;
let redis: Promise<TestServer & { url: string }> | undefined;

/** One server per test file, started by the first test that needs it. */
export function theMariadb(): Promise<MariadbServer> {
  return (mariadb ??= startMariadb(folder()));
}

export function theRedis(): Promise<TestServer & { url: string }> {
  return (redis ??= startRedis(folder()));
}
