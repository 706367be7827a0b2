import assert from "node:assert/strict";
import { test } from "node:test";
import { makeFillToken, parseFillToken } from "../../fill-protocol/fill-token.js";
import { makePlaybackToken, parsePlaybackToken } from "../../fill-protocol/playback-token.js";
import type { ObjectRecord } from "../object.js";
import { decideResponse } from "./decide-response.js";
import { parseByteRanges } from "./parse-byte-ranges.js";
import { parseCmcd, resolveNextPath } from "./parse-cmcd.js";
import { parseObjectPath } from "./parse-object-path.js";

// Over a million inputs that are nearly right: pieces of real headers, cut, doubled, joined and with a character changed.
const inputsPerParser = 300_000;
/** One input that takes so long, also on a busy machine, is a loop that grows with the square of it, or worse. */
const slowMs = 2000;

const seed = Number(process.env["MILLRACE_FUZZ_SEED"] ?? (Date.now() ^ (process.pid << 8)) >>> 0);

/** xorshift32: the same inputs for the same seed. */
function randomFrom(state: number): (below: number) => number {
  let x = state | 1;
  return (below) => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return (x >>> 0) % below;
  };
}

function* nearlyRight(pieces: readonly string[], count: number): Generator<string> {
  const random = randomFrom(seed);
  for (let made = 0; made < count; made++) {
    let text = "";
    for (let left = random(7); left >= 0; left--) {
      let piece = pieces[random(pieces.length)]!;
      if (random(4) === 0) piece = piece.slice(random(piece.length + 1));
      text += random(50) === 0 ? piece.repeat(1 + random(200)) : piece;
    }
    if (random(3) === 0) {
      const at = random(text.length + 1);
      text = text.slice(0, at) + String.fromCharCode(random(3) === 0 ? random(0x10000) : random(128)) + text.slice(at + 1);
    }
    yield text;
  }
}

function fuzz(pieces: readonly string[], look: (text: string) => void): void {
  for (const text of nearlyRight(pieces, inputsPerParser)) {
    const startedAtMs = performance.now();
    try {
      look(text);
    } catch (error) {
      throw new Error(`seed ${seed}: ${JSON.stringify(text.slice(0, 500))}`, { cause: error });
    }
    const tookMs = performance.now() - startedAtMs;
    assert.ok(tookMs < slowMs, `seed ${seed}: ${tookMs} ms for ${JSON.stringify(text.slice(0, 500))}`);
  }
}

const sizeBytes = 1000;
const rangePieces = [
  "bytes=",
  "0-1",
  "-5",
  "7-",
  ",",
  " ",
  "\t",
  "999-1000",
  "-",
  "0",
  "18446744073709551616",
  "1e3",
  "items=",
  "-0",
  "5-4",
];

test(`fuzz: parseByteRanges() never leaves the object nor sends a byte twice (seed ${seed})`, () => {
  fuzz(rangePieces, (text) => {
    const ranges = parseByteRanges(`bytes=${text}`, sizeBytes);
    if (typeof ranges === "string") return;
    let bytes = 0;
    for (const { first, last } of ranges) {
      assert.ok(Number.isInteger(first) && first >= 0 && first <= last && last < sizeBytes);
      bytes += last - first + 1;
    }
    assert.ok(bytes <= sizeBytes);
  });
});

const object: ObjectRecord = {
  path: "a.mp4",
  sizeBytes,
  etag: '"abc"',
  lastModifiedUnixMs: 1_700_000_000_000,
  digested: false,
  checkedUnixMs: 0,
};
const conditionPieces = [
  '"abc"',
  'W/"abc"',
  "*",
  ",",
  " ",
  '"',
  "Tue, 14 Nov 2023 22:13:20 GMT",
  "Tuesday, 14-Nov-23 22:13:20 GMT",
  "Tue",
  "W/",
  "\\",
];

test(`fuzz: decideResponse() answers any conditions with one of its statuses (seed ${seed})`, () => {
  const ranges = nearlyRight(rangePieces, inputsPerParser);
  fuzz(conditionPieces, (text) => {
    const headers = {
      range: `bytes=${ranges.next().value}`,
      ifMatch: "",
      ifNoneMatch: "",
      ifModifiedSince: "",
      ifUnmodifiedSince: "",
      ifRange: "",
    };
    const place = (["ifMatch", "ifNoneMatch", "ifModifiedSince", "ifUnmodifiedSince", "ifRange"] as const)[text.length % 5]!;
    headers[place] = text;
    const { status } = decideResponse("GET", headers, object);
    assert.ok([200, 206, 304, 412, 416].includes(status));
  });
});

const token = makePlaybackToken({ expiresUnixS: 1, pathPrefix: "a/" }, { id: "k1", secret: "secret" });

test(`fuzz: parsePlaybackToken() throws at nothing (seed ${seed})`, () => {
  const pieces = [...token.split("."), ".", token, Buffer.from('{"e":1e999,"p":{}}').toString("base64url"), "k1", "{}", "%2e", "="];
  fuzz(pieces, (text) => {
    const parsed = parsePlaybackToken(text);
    if (parsed) assert.ok(text.startsWith(`${parsed.signed}.`) && Number.isFinite(parsed.claims.expiresUnixS));
  });
});

test(`fuzz: parseObjectPath() gives no path with a part that goes up (seed ${seed})`, () => {
  fuzz(["/", "..", ".", "%2e", "%2f", "%5c", "a", "ü", "%c3%bc", "%", "\\", "%00", "~"], (text) => {
    const path = parseObjectPath(`/${text}`);
    if (path !== undefined) assert.ok(path.split("/").every((part) => part !== "" && part !== "." && part !== ".."));
  });
});

const fillToken = makeFillToken({ expiresUnixS: 1, applianceId: "a" }, { id: "k1", secret: "secret" });

test(`fuzz: parseFillToken() throws at nothing, and takes none but the token itself (seed ${seed})`, () => {
  const pieces = [...fillToken.split("."), ".", fillToken, Buffer.from('{"e":1,"a":{}}').toString("base64url"), "k1", "{}", "%2e", "="];
  fuzz(pieces, (text) => {
    const parsed = parseFillToken(text);
    if (parsed?.isSignedWith("secret")) assert.deepEqual(parsed.claims, { expiresUnixS: 1, applianceId: "a" });
  });
});

test(`fuzz: parseCmcd() and resolveNextPath() throw at nothing and leave no host (seed ${seed})`, () => {
  const pieces = [
    'nor="',
    "..%2Fv.m4s",
    '"',
    ",",
    'nrr="0-99"',
    "bs",
    "rtp=12000",
    'sid="',
    "\\",
    '\\"',
    "=",
    "com.x-y",
    " ",
    "%",
    "http:",
    "//",
    "v=1",
  ];
  fuzz(pieces, (text) => {
    const cmcd = parseCmcd(text);
    if (cmcd?.sessionId !== undefined) assert.ok(cmcd.sessionId.length > 0 && cmcd.sessionId.length <= 64);
    resolveNextPath("films/a/1.m4s", cmcd?.nextObject);
    resolveNextPath("films/a/1.m4s", text);
  });
});
