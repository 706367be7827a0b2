// `millrace catalog`: import, export and search against a real control plane, and what ingest tells the catalog.
import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { packageRoot } from "../runtime/package-root.js";
import { openLoginControlPlane, type LoginControlPlane } from "./support/login-client.js";
import { runMillrace } from "./support/run-millrace.js";
import { temporaryFolder } from "./support/temporary-folder.js";

let folder: string;
let controlPlane: LoginControlPlane;
const catalog = (command: string, ...args: string[]) => runMillrace(["catalog", command, "--control-plane", controlPlane.url, ...args]);
const line = (title: object) => `${JSON.stringify(title)}\n`;

before(async () => {
  folder = temporaryFolder();
  controlPlane = await openLoginControlPlane({ database: `sqlite:${folder}/control-plane.db` });
});
after(() => controlPlane.close());

test("millrace catalog imports what another exported, once, and finds it", async () => {
  const file = join(folder, "titles.jsonl");
  const films = Array.from({ length: 1100 }, (_, number) =>
    line({ titleId: `film-${String(number).padStart(4, "0")}`, kind: "film", name: `Film number ${number}`, maturityAge: number % 19 }),
  );
  const parts = [
    line({ titleId: "serie", kind: "series", name: "Die Straße", windows: [{ countries: ["DE"], from: "2026-01-01T00:00:00+01:00" }] }),
    line({ titleId: "serie-1", kind: "season", name: "Staffel 1", parentId: "serie", number: 1 }),
  ];
  writeFileSync(file, [...films, ...parts].join(""));
  assert.deepEqual(JSON.parse((await catalog("import", file, "--json")).stdout), { titles: 1102, changed: 1102 });
  assert.match((await catalog("import", file)).stdout, /1102 titles read, 0 of them new or changed/);

  const exported = join(folder, "export.jsonl");
  assert.equal((await catalog("export", "--output", exported)).code, 0);
  const text = readFileSync(exported, "utf8");
  assert.equal(text, (await catalog("export")).stdout);
  assert.equal(text.split("\n").length, 1103);
  assert.deepEqual(JSON.parse((await catalog("import", exported, "--json")).stdout), { titles: 1102, changed: 0 });

  const { hits } = JSON.parse((await catalog("search", "--json", "strase")).stdout) as { hits: { titleId: string }[] };
  assert.equal(hits[0]?.titleId, "serie");
  assert.match((await catalog("search", "strasse", "--country", "FR")).stdout, /^0 found/);
});

test("millrace catalog import stops at a bad line, says which, and goes on there", async () => {
  const file = join(folder, "bad.jsonl");
  const good = (number: number) => line({ titleId: `b-${number}`, kind: "film", name: "B" });
  writeFileSync(file, `${good(1)}${good(2)}{"titleId":"b-3"}\n${good(4)}`);
  const failed = await catalog("import", file);
  assert.equal(failed.code, 1);
  assert.match(failed.stderr, /^Cannot import: line 3 is no title: kind: .*Lines up to 2 are imported: go on with --skip 2\n$/);
  writeFileSync(file, `${good(1)}${good(2)}${good(3)}${good(4)}`);
  assert.deepEqual(JSON.parse((await catalog("import", file, "--skip", "2", "--json")).stdout), { titles: 2, changed: 2 });
  assert.match((await catalog("import", join(folder, "nothing"))).stderr, /^Cannot read .*nothing: ENOENT/);
  const away = await runMillrace(["catalog", "export", "--control-plane", "grpc://127.0.0.1:1", "--output", join(folder, "never")]);
  assert.match(away.stderr, /^Cannot ask the control plane/);
  assert.equal(existsSync(join(folder, "never")), false, "no half a file");
});

test("millrace ingest tells the catalog of the encodes that the manifests name", async () => {
  const ingested = await runMillrace([
    "ingest",
    join(packageRoot, "film/clock"),
    "--origin",
    join(folder, "origin"),
    "--control-plane",
    controlPlane.url,
  ]);
  assert.equal(ingested.code, 0, ingested.stderr);
  const { title } = await controlPlane.client.getTitleDetails({ titleId: "clock" });
  assert.equal(title?.published, true);
  const encodes = title?.media?.encodes ?? [];
  assert.ok(encodes.length >= 3);
  for (const { path, codecs, bitsPerSecond, container, inHls, inDash } of encodes) {
    assert.match(path, /^clock\/.*\.mp4$/);
    assert.match(codecs.join(), /^(avc1|mp4a)\.[\w.]+$/);
    assert.ok(bitsPerSecond > 10_000 && container === "mp4" && inHls && inDash, path);
  }
  assert.ok(encodes.some(({ height }) => height >= 240));
});
