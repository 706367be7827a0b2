import assert from "node:assert/strict";
import { test } from "node:test";
import { ObjectHeads } from "./response-head.js";

const record = { path: "films/a; ttl=1.m4s", sizeBytes: 10, etag: '"; ttl=2"', lastModifiedUnixMs: 0, digested: false, checkedUnixMs: 0 };

test("ObjectHeads replaces the seconds of a ttl in place, whatever their length, and nothing else", () => {
  const heads = new ObjectHeads({ ...record, etag: '"x"' });
  for (const ttlS of [60, 9, 0, -1, -86_400, 10 ** 12, 60]) {
    const text = heads.headOf("part", "memory", ttlS).toString();
    const shown = Math.min(ttlS, 9_999_999);
    assert.ok(text.includes(`\r\nCache-Status: millrace; hit; detail=memory; ttl=${shown}\r\n`), text);
    assert.match(text, /\r\nX-Cache-Status: +HIT\r\nContent-Type: video\/iso.segment$/);
    assert.match(text, /^206 Partial Content\r\n/);
  }
  assert.doesNotMatch(heads.headOf("whole", "miss", 5).toString(), /ttl/);
});

test("ObjectHeads: a tag that looks like a ttl is left alone, as is one that would end its line", () => {
  const heads = new ObjectHeads(record);
  heads.headOf("whole", "memory", 7);
  assert.match(heads.headOf("whole", "memory", 8).toString(), /ttl=8\r\n/);
  assert.ok(!new ObjectHeads({ ...record, etag: '"a\r\nX: y"' }).lines.includes("X: y"));
});
