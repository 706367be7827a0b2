import assert from "node:assert/strict";
import { test } from "node:test";
import { z } from "zod";
import { OperatingError } from "./operating-error.js";
import { byteSizeSetting, durationSetting, parseSettings, readSettingsFile } from "./settings-file.js";

const schema = z.strictObject({
  listen: z.strictObject({ port: z.number().int() }),
  ram: byteSizeSetting().default(2 ** 20),
  every: durationSetting().optional(),
  disks: z.array(z.strictObject({ path: z.string() })).default([]),
});

function mistakesOf(text: string): string {
  try {
    parseSettings(text, "a.yaml", schema);
  } catch (error) {
    assert.ok(error instanceof OperatingError);
    assert.equal(error.code, "settings-invalid");
    return error.message;
  }
  assert.fail("settings were accepted");
}

test("parseSettings() fills in defaults, converts units and freezes", () => {
  const settings = parseSettings("listen: { port: 1 }\nevery: 5s\n", "a.yaml", schema);
  assert.deepEqual(settings, { listen: { port: 1 }, ram: 2 ** 20, every: 5000, disks: [] });
  assert.throws(() => ((settings.listen as { port: number }).port = 2), TypeError);
});

test("parseSettings() names the line of an unknown key, also of a nested one", () => {
  assert.match(mistakesOf("listen:\n  port: 1\n  prot: 2\n"), /a\.yaml:3:3: Unknown key "listen\.prot"/);
  assert.match(mistakesOf("listen: { port: 1 }\ndisks:\n  - path: x\n    sise: 1\n"), /a\.yaml:4:5: Unknown key "disks\.0\.sise"/);
});

test("parseSettings() names every mistake at once", () => {
  const message = mistakesOf("listen:\n  port: x\nram: lots\n");
  assert.match(message, /a\.yaml:2:3: listen\.port/);
  assert.match(message, /a\.yaml:3:1: ram: Expected an amount of bytes/);
});

test("parseSettings() reports broken YAML and an empty file", () => {
  assert.match(mistakesOf("listen: {\n"), /a\.yaml:2:1/);
  assert.match(mistakesOf(""), /listen/);
});

test("readSettingsFile() says which file is missing", () => {
  assert.throws(() => readSettingsFile("/nowhere/a.yaml", schema), /Cannot read settings file \/nowhere\/a\.yaml: ENOENT/);
});

test("durationSetting() refuses a wait that no timer can do, but takes a long date", () => {
  const parse = (setting: z.ZodType<number, string>) => parseSettings("every: 90d\n", "a.yaml", z.strictObject({ every: setting }));
  assert.throws(() => parse(durationSetting()), /every: Expected at most 24d: received "90d"/);
  assert.equal(parse(durationSetting(Number.MAX_SAFE_INTEGER)).every, 90 * 86_400_000);
});
