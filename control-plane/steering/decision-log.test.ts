import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { openLog } from "../../runtime/log.js";
import { ManualClock } from "../../runtime/manual-clock.js";
import { OperatingError } from "../../runtime/operating-error.js";
import { parsePrefix } from "./client-address.js";
import { openDecisionLog, type DecisionLog } from "./decision-log.js";
import { MadeUpFleet } from "./made-up-fleet.js";
import { DecisionReplay } from "./replay-decisions.js";

const log = openLog("control-plane", "silent");
const wanted = [{ path: "film/master.m3u8", etag: "1" }];

function open(files: number, bytesPerFile: number) {
  const folder = mkdtempSync(join(tmpdir(), "millrace-decisions-"));
  const file = join(folder, "var/decisions.jsonl");
  const clock = new ManualClock(1_700_000_000_000);
  const made: MadeUpFleet[] = [];
  const decisionLog: DecisionLog = openDecisionLog({ file, bytesPerFile, files }, { log, boxes: () => made[0]!.fleet.boxes() });
  made.push(new MadeUpFleet({ clock, decisionLog }));
  const [fleet] = made as [MadeUpFleet];
  fleet.routes.setSite({ siteId: "near", rank: 1 });
  fleet.routes.announce(parsePrefix("10.0.0.0/8")!, { source: "s", siteId: "near", asPathLength: 0, med: 0 });
  fleet.add({ id: "a", siteId: "near", holds: ["film/master.m3u8"] });
  fleet.add({ id: "b", siteId: "far", holds: ["film/master.m3u8"], nicBitsPerSecond: 12e6 });
  fleet.add({ id: "c", siteId: "farther", nicBitsPerSecond: 1e9 });
  return { folder, file, clock, fleet, decisionLog };
}

function replay(text: string, without: string[]) {
  const replaying = new DecisionReplay({ without: new Set(without), sessionMaxMs: 3_600_000 });
  for (const line of text.split("\n")) replaying.take(line);
  return replaying.end();
}

test("a decision log played again without a site tells what moves, what misses, and who is overloaded", async () => {
  const { folder, file, clock, fleet, decisionLog } = open(2, 1e6);
  for (let session = 0; session < 3; session++) {
    fleet.steering.rank("10.0.0.1", wanted, { sessionId: `s${session}`, bitsPerSecond: 5e6 });
    clock.turn(1000);
  }
  clock.turn(7000);
  for (let session = 0; session < 3; session++) decisionLog.writeEnd(clock.unixMs(), `s${session}`);
  await decisionLog.close();
  const text = readFileSync(file, "utf8");
  assert.deepEqual(JSON.parse(text.split("\n").find((line) => line.startsWith('{"k":"rank"'))!), {
    k: "rank",
    t: 1_700_000_000_000,
    s: "s0",
    c: "10.0.0.1",
    o: "film/master.m3u8",
    b: 5e6,
    p: "10.0.0.0/8",
    r: [0, 1, 2],
    h: [1, 1, 0],
    x: { C: [2], H: [] },
  });
  const one = replay(text, ["near"]);
  assert.deepEqual(
    { sessions: one.sessions, moved: one.moved, misses: one.misses, lost: one.lost, badLines: one.badLines },
    { sessions: 3, moved: 3, misses: 0, lost: 0, badLines: 0 },
  );
  // 10, 9 and 8 seconds at 5 Mb/s.
  assert.equal(one.movedBytes, (27 * 5e6) / 8);
  const b = one.boxes.find(({ id }) => id === "b")!;
  assert.equal(b.sessionsGained, 3);
  assert.equal(b.peakBitsPerSecond, 15e6);
  assert.equal(b.peakBeforeBitsPerSecond, 0);
  assert.equal(b.overloadedMs, 8000, "from the third session on");
  const two = replay(text, ["near", "far"]);
  assert.equal(two.misses, 3);
  assert.equal(two.missedBytes, two.movedBytes);
  assert.equal(replay(text, ["near", "far", "farther"]).lost, 3);
  assert.equal(replay(text, ["farther"]).moved, 0);
  assert.equal(replay(`${text}{"k":"rank","t":17`, ["near"]).badLines, 1, "a line that a crash cut off");
  rmSync(folder, { recursive: true });
});

test("a decision log keeps so many files of so many bytes, each of which can be read by itself", async () => {
  const { folder, file, fleet, decisionLog } = open(3, 2000);
  for (let session = 0; session < 100; session++) fleet.steering.rank("10.0.0.1", wanted, { sessionId: `s${session}` });
  await decisionLog.close();
  const files = readdirSync(join(folder, "var")).sort();
  assert.deepEqual(files, ["decisions.jsonl", "decisions.jsonl.1", "decisions.jsonl.2"]);
  for (const name of ["decisions.jsonl.1", "decisions.jsonl.2"]) {
    const text = readFileSync(join(folder, "var", name), "utf8");
    assert.ok(text.length < 2500, `${name} has ${text.length} bytes`);
    assert.ok(text.startsWith('{"k":"fleet"'));
    const { sessions, badLines } = replay(text, ["near"]);
    assert.ok(sessions > 5 && badLines === 0);
  }
  assert.equal(file, join(folder, "var/decisions.jsonl"));
  rmSync(folder, { recursive: true });
});

test("a decision log in a place that cannot be written is an error at start, and a disk that is full stops no decision", async () => {
  assert.throws(
    () => openDecisionLog({ file: "/dev/null/decisions.jsonl", bytesPerFile: 1000, files: 2 }, { log, boxes: () => [] }),
    (error: unknown) => error instanceof OperatingError && error.code === "decision-log-unusable",
  );
  const clock = new ManualClock();
  const made: MadeUpFleet[] = [];
  const full = openDecisionLog({ file: "/dev/full", bytesPerFile: 2 ** 30, files: 1 }, { log, boxes: () => made[0]!.fleet.boxes() });
  made.push(new MadeUpFleet({ clock, decisionLog: full }));
  made[0]!.add({ id: "a", siteId: "near" });
  for (let session = 0; session < 5000; session++) {
    assert.equal(made[0]!.steering.rank("10.0.0.1", wanted, { sessionId: `s${session}` }).ranked.length, 1);
  }
  await full.close();
});
