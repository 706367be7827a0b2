import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { OperatingError } from "../../runtime/operating-error.js";
import { importLines } from "./import-lines.js";

const line = (titleId: string, rest: object = {}) => `${JSON.stringify({ titleId, kind: "film", name: titleId, ...rest })}\n`;
const run = async (text: string | AsyncIterable<Buffer>, { skipLines = 0, refuse = "" } = {}) => {
  const written: string[][] = [];
  const input = typeof text === "string" ? piecesOf(Buffer.from(text), [text.length]) : text;
  const outcome = await importLines(input, {
    skipLines,
    put: async (titles) => {
      if (titles.some(({ titleId }) => titleId === refuse)) throw new OperatingError("invalid-argument", "Cannot write titles: no");
      written.push(titles.map(({ titleId }) => titleId));
      return titles.length;
    },
    onProgress: () => {},
  }).catch((error: OperatingError) => `${error.code} ${error.message}`);
  return { written, outcome };
};
async function* piecesOf(bytes: Buffer, sizes: readonly number[]): AsyncGenerator<Buffer> {
  for (let at = 0, turn = 0; at < bytes.length; turn++) {
    const size = sizes[turn % sizes.length]!;
    yield bytes.subarray(at, (at += size));
  }
}

test("importLines() hands on every line once, in order, however the bytes come", async () => {
  const ids = Array.from({ length: 1203 }, (_, number) => `t-${number}`);
  const bytes = Buffer.from(ids.map((id) => line(id, { name: "Ünï 🎬" })).join("\n"));
  await fc.assert(
    fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 9000 }), { minLength: 1 }), async (sizes) => {
      const { written, outcome } = await run(piecesOf(bytes, [...sizes, 5000]));
      assert.deepEqual(written.flat(), ids);
      assert.deepEqual(
        written.map(({ length }) => length),
        [500, 500, 203],
      );
      assert.deepEqual(outcome, { titles: 1203, changed: 1203 });
    }),
    { numRuns: 10 },
  );
});

test("importLines() writes what comes before a bad line, names the line, and goes on where it stopped", async () => {
  const bad: [text: string, why: RegExp][] = [
    ["{", /line 3 is not JSON/],
    ['"x"', /line 3 is no title/],
    [line("c", { kind: "opera" }).trim(), /line 3 is no title: kind/],
    [line("c", { windows: [{ from: "tomorrow" }] }).trim(), /line 3 is no title: windows.0.from/],
    [line("c", { colour: 1 }).trim(), /line 3 is no title.*colour/],
  ];
  for (const [text, why] of bad) {
    const { written, outcome } = await run(`${line("a")}${line("b")}${text}\n${line("d")}`);
    assert.deepEqual(written, [["a", "b"]], text);
    assert.match(String(outcome), why);
    assert.match(String(outcome), /^line-malformed .*Lines up to 2 are imported: go on with --skip 2$/);
  }
  assert.deepEqual((await run(`${line("a")}${line("b")}${line("c")}`, { skipLines: 2 })).written, [["c"]]);
  const { outcome } = await run(line("a") + line("b"), { refuse: "b" });
  assert.match(String(outcome), /^invalid-argument Cannot import: lines 1 to 2: Cannot write titles: no. Lines up to 0/);
});

test("importLines() gives up on a line without end, and takes an empty file", async () => {
  async function* endless(): AsyncGenerator<Buffer> {
    for (let piece = 0; piece < 10_000; piece++) yield Buffer.alloc(2 ** 16, 120);
    assert.fail("read on and on");
  }
  assert.match(String((await run(endless())).outcome), /^line-malformed .*line 1 is longer than 1048576 bytes/);
  for (const text of ["", "\n\n", " \n"]) assert.deepEqual(await run(text), { written: [], outcome: { titles: 0, changed: 0 } });
});
