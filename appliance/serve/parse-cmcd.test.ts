import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parseCmcd, resolveNextPath, type Cmcd } from "./parse-cmcd.js";

test("parseCmcd() reads the keys that count, in their order or none, among all of CTA-5004", () => {
  const rows: [text: string, expected: Cmcd | undefined][] = [
    ['bl=21300,nor="..%2Fvideo-2.m4s",nrr="0-99",su', { nextObject: "../video-2.m4s", nextRange: "0-99" }],
    ['nrr="12323-48763"', { nextRange: "12323-48763" }],
    ['mtp=25400, nrr="5-"', { nextRange: "5-" }],
    [
      'bl=21300,br=3200,bs,cid="faec5fc2-ac30-11ea",d=4004,dl=18500,mtp=48100,nor="..%2F300kbps%2Ftrack.m4v",nrr="12323-48763",ot=v,pr=1.08,rtp=12000,sf=d,sid="6e2fb550-c457",st=v,su,tb=6000,v=1',
      {
        starved: true,
        contentId: "faec5fc2-ac30-11ea",
        nextObject: "../300kbps/track.m4v",
        nextRange: "12323-48763",
        wishKbps: 12_000,
        sessionId: "6e2fb550-c457",
      },
    ],
    ['com.example-name="a,b=\\"c\\"",sid="x\\\\y\\"z"', { sessionId: 'x\\y"z' }],
    ['sid="a",sid="b"', { sessionId: "b" }],
    // What follows a mistake is not read; what comes before it counts.
    ['sid="a",=,rtp=5', { sessionId: "a" }],
  ];
  for (const [text, expected] of rows) assert.deepEqual(parseCmcd(text), expected, text);
});

test("parseCmcd() says nothing where the player says nothing, or nonsense", () => {
  const nonsense = [
    "nor=a",
    'xnor="a"',
    'nor="%zz"',
    'nrr="a-b"',
    'nrr="-5"',
    `nor="${"a".repeat(3000)}"`,
    `sid="${"a".repeat(65)}"`,
    'sid=""',
  ];
  for (const text of ["", "bl=1", "bs=1", 'rtp="5"', "rtp=-5", "rtp=1e9", "SID=1", 'sid="a', ",", ...nonsense]) {
    assert.equal(parseCmcd(text), undefined, text);
  }
});

test("resolveNextPath() stays on this host", () => {
  assert.equal(resolveNextPath("films/a/1.m4s", undefined), "films/a/1.m4s");
  assert.equal(resolveNextPath("films/a/1.m4s", "2.m4s"), "films/a/2.m4s");
  assert.equal(resolveNextPath("films/a/1.m4s", "../b/ü 2.m4s?x=1"), "films/b/ü 2.m4s");
  assert.equal(resolveNextPath("films/a#/1.m4s", "/c.m4s"), "c.m4s");
  for (const url of ["http://y/2.m4s", "//y/2.m4s", "\\\\y/2", "data:x", "https:2.m4s"])
    assert.equal(resolveNextPath("a", url), undefined, url);
});

test("parseCmcd() and resolveNextPath() throw at nothing", () => {
  fc.assert(
    fc.property(fc.string(), fc.string(), (text, path) => {
      parseCmcd(text);
      parseCmcd(`nor="${text}"`);
      resolveNextPath(path, text);
    }),
    { numRuns: 5000 },
  );
});
