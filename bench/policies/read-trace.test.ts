// Trace readers, on files of every format and with every mistake.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { spawnSync } from "node:child_process";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { OperatingError } from "../../runtime/operating-error.js";
import { CsvTraceParser } from "./csv-trace.js";
import { loadTrace } from "./load-trace.js";
import { OracleGeneralTraceParser } from "./oracle-general-trace.js";
import { readTrace, readTraceBatches } from "./read-trace.js";
import type { TraceParser, TraceRequest } from "./trace-request.js";

let folder = "";
before(() => {
  folder = mkdtempSync(join(tmpdir(), "millrace-traces-"));
});
after(() => rmSync(folder, { recursive: true }));

function fileOf(name: string, content: string | Buffer): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

async function requestsOf(path: string): Promise<TraceRequest[]> {
  const requests: TraceRequest[] = [];
  for await (const request of readTrace(path)) requests.push(request);
  return requests;
}

function oracleRecord(timeSeconds: number, objectId: bigint, sizeBytes: number): Buffer {
  const record = Buffer.alloc(24);
  record.writeUInt32LE(timeSeconds, 0);
  record.writeBigUInt64LE(objectId, 4);
  record.writeUInt32LE(sizeBytes, 12);
  record.writeBigInt64LE(-1n, 16);
  return record;
}

const three: TraceRequest[] = [
  { timeSeconds: 0, objectId: "7", sizeBytes: 100 },
  { timeSeconds: 1, objectId: "18446744073709551615", sizeBytes: 4294967295 },
  { timeSeconds: 1, objectId: "7", sizeBytes: 100 },
];
const threeCsv = "time,id,size\n0,7,100\n1,18446744073709551615,4294967295\n1,7,100\n";
const threeOracle = Buffer.concat(three.map((request) => oracleRecord(request.timeSeconds, BigInt(request.objectId), request.sizeBytes)));

test("readTrace() reads CSV with and without a header, comments, empty lines, CRLF, spaces and more columns", async () => {
  assert.deepEqual(await requestsOf(fileOf("header.csv", threeCsv)), three);
  assert.deepEqual(await requestsOf(fileOf("bare.csv", threeCsv.slice(13))), three);
  assert.deepEqual(await requestsOf(fileOf("crlf.csv", `# made by hand\r\n\r\n${threeCsv.replaceAll("\n", "\r\n")}`)), three);
  assert.deepEqual(await requestsOf(fileOf("spaces.tr", threeCsv.slice(13).replaceAll(",", " "))), three);
  assert.deepEqual(await requestsOf(fileOf("columns.csv", threeCsv.replaceAll("\n", ",-1\n"))), three);
  assert.deepEqual(await requestsOf(fileOf("no-newline.csv", threeCsv.trimEnd())), three);
});

test("readTrace() takes any text as an object id, and fractions of seconds", async () => {
  const requests = await requestsOf(fileOf("ids.csv", "0.25,/film/v1.mp4,5\n1e3,ö,6\n"));
  assert.deepEqual(requests, [
    { timeSeconds: 0.25, objectId: "/film/v1.mp4", sizeBytes: 5 },
    { timeSeconds: 1000, objectId: "ö", sizeBytes: 6 },
  ]);
});

test("readTrace() reads oracleGeneral records, packed or not", async (t) => {
  assert.deepEqual(await requestsOf(fileOf("three.oracleGeneral", threeOracle)), three);
  assert.deepEqual(await requestsOf(fileOf("three.oracleGeneral.gz", gzipSync(threeOracle))), three);
  assert.deepEqual(await requestsOf(fileOf("three.csv.gz", gzipSync(threeCsv))), three);
  const packed = spawnSync("zstd", ["-c"], { input: threeOracle });
  if (packed.error) return t.diagnostic("zstd is not installed: not tried");
  assert.deepEqual(await requestsOf(fileOf("three.oracleGeneral.zst", packed.stdout)), three);
});

test("readTrace() names the line of a mistake", async () => {
  const mistakes: [string, RegExp][] = [
    ["0,a,1\n1,b\n", /line 2: "1,b" is not time,id,size/],
    ["0,a,1\n1,,3\n", /line 2: "1,,3" is not time,id,size/],
    ["time,id,size\n\n# note\nsoon,b,3\n", /line 4: time "soon" is not a number of seconds/],
    ["0,a,1\n-1,b,3\n", /line 2: time "-1" is not/],
    ["0,a,1\n,b,3\n", /line 2: time "" is not/],
    ["0,a,1.5\n", /line 1: size "1.5" is not a whole number of bytes/],
    ["0,a,1\n0,a,-1", /line 2: size "-1" is not/],
    ["0,a,1\ntime,id,size\n", /line 2: time "time"/],
    ["0,a,abc\n", /line 1: size "abc" is not/],
    ["soon,b,3\n", /line 1: time "soon" is not/],
    [`0,a,1\n${"x".repeat(70_000)}`, /line 2: the line is longer than 65536 bytes/],
  ];
  for (const [text, message] of mistakes) {
    await assert.rejects(
      requestsOf(fileOf("mistake.csv", text)),
      (error) => error instanceof OperatingError && error.code === "trace-malformed" && message.test(error.message),
      text.slice(0, 40),
    );
  }
});

test("readTrace() says what is wrong with the file", async () => {
  await assert.rejects(requestsOf(join(folder, "missing.csv")), /Cannot read trace .*missing\.csv: ENOENT/);
  await assert.rejects(requestsOf(folder), /Cannot read trace .*: EISDIR/);
  const torn = fileOf("torn.bin", threeOracle.subarray(0, 50));
  await assert.rejects(requestsOf(torn), /it ends 2 bytes into record 3/);
  const brokenGzip = fileOf("broken.gz", gzipSync(Buffer.concat(Array.from({ length: 99 }, () => threeOracle))).subarray(0, 40));
  await assert.rejects(requestsOf(brokenGzip), /Cannot read trace .*broken\.gz: unexpected end of file/);
});

test("the parsers give the same requests however the bytes are cut", () => {
  const parse = (parser: TraceParser, bytes: Buffer, cuts: number[]) => {
    const ends = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b);
    const pieces = [...ends, bytes.length].map((end, index) => bytes.subarray(index === 0 ? 0 : ends[index - 1], end));
    return [...pieces.flatMap((piece) => parser.push(piece)), ...parser.end()];
  };
  fc.assert(
    fc.property(fc.array(fc.nat(200), { maxLength: 20, size: "max" }), (cuts) => {
      assert.deepEqual(parse(new CsvTraceParser("x"), Buffer.from(threeCsv), cuts), three);
      assert.deepEqual(parse(new OracleGeneralTraceParser("x"), threeOracle, cuts), three);
    }),
  );
});

test("readTrace() can be left early", async () => {
  const path = fileOf("long.csv", "0,a,1\n".repeat(500_000));
  for await (const request of readTrace(path)) {
    assert.equal(request.objectId, "a");
    break;
  }
});

test("loadTrace() numbers objects, keeps the first size, leaves empty requests out", async () => {
  const path = fileOf("load.csv", "5,a,10\n6,b,1\n7,a,12\n8,c,0\n9,a,10\n");
  const trace = await loadTrace(readTraceBatches(path));
  assert.deepEqual(Array.from(trace.objects), [0, 1, 0, 0]);
  assert.deepEqual(Array.from(trace.objectBytes), [10, 1]);
  assert.equal(trace.footprintBytes, 11);
  assert.equal(trace.requestedBytes, 31);
  assert.equal(trace.spanSeconds, 4);
  assert.equal(trace.emptyRequests, 1);
  assert.equal(trace.resizedRequests, 1);
});

test("loadTrace() stops at requestsMax and refuses a trace without requests", async () => {
  const path = fileOf("many.csv", "0,a,1\n1,b,1\n2,c,1\n");
  assert.equal((await loadTrace(readTraceBatches(path), { requestsMax: 2 })).objects.length, 2);
  await assert.rejects(loadTrace(readTraceBatches(fileOf("none.csv", "time,id,size\n"))), /no request/);
});
