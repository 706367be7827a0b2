// Starts that find something wrong: a damaged index, a disk that is not one. Each says what to do, and changes nothing by itself.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { parse } from "yaml";
import { runMillrace } from "./support/run-millrace.js";
import { readMetric, startAppliance, writeApplianceSettings } from "./support/start-appliance.js";
import { temporaryFolder } from "./support/temporary-folder.js";

test("an index that was cut short is refused by the appliance and the check, --rebuild-index makes it anew, and nothing is fetched again", async () => {
  const folder = temporaryFolder();
  mkdirSync(join(folder, "origin"));
  const film = randomBytes(1_000_000);
  writeFileSync(join(folder, "origin", "film.mp4"), film);
  const options = { folder, upstreams: [`file://${folder}/origin/`], settings: { revalidateAfter: "1h" } };
  const first = await startAppliance(options);
  assert.ok(Buffer.from(await (await fetch(`${first.url}film.mp4`)).arrayBuffer()).equals(film));
  assert.equal((await first.stop()).code, 0);
  const settings = writeApplianceSettings(options);
  const { index } = parse(readFileSync(settings, "utf8")) as { index: string };
  const file = join(index, "index.mdb");
  truncateSync(file, 4096);
  for (const command of [["appliance"], ["index", "check"]]) {
    const refused = await runMillrace([...command, "--config", settings]);
    assert.equal(refused.code, 1, `${command}: ${refused.stderr}`);
    assert.match(refused.stderr, /its index\.mdb was cut short: .*`millrace index rebuild --config FILE`/);
  }
  const again = await startAppliance({ ...options, flags: ["--rebuild-index"] });
  assert.ok(Buffer.from(await (await fetch(`${again.url}film.mp4`)).arrayBuffer()).equals(film));
  assert.equal(await readMetric(again, "millrace_fill_fetches_total"), 0);
  assert.equal((await again.stop()).code, 0);
});

test("index check where there is no index, or a disk is an empty folder, says so and changes nothing", async () => {
  const folder = temporaryFolder();
  const options = { folder, upstreams: [`file://${folder}/`] };
  const settings = writeApplianceSettings(options);
  const { disks } = parse(readFileSync(settings, "utf8")) as { disks: { path: string }[] };
  for (const { path } of disks) mkdirSync(path, { recursive: true });
  const none = await runMillrace(["index", "check", "--config", settings]);
  assert.equal(none.code, 1);
  assert.match(none.stderr, /Cannot check the index in .*: there is none/);
  const stopped = await (await startAppliance(options)).stop();
  assert.equal(stopped.code, 0, stopped.stderr);
  rmSync(join(disks[0]!.path, "disk.json"));
  for (const name of readdirSync(disks[0]!.path)) rmSync(join(disks[0]!.path, name));
  const checked = await runMillrace(["index", "check", "--config", settings]);
  assert.equal(checked.code, disks.length > 1 ? 0 : 1, checked.stderr);
  assert.deepEqual(readdirSync(disks[0]!.path), []);
});
