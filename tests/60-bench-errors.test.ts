// What goes wrong at the server is reported as what it is: never as a zero, never as a good figure.
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { makeCertificate } from "../bench/peers/certificate.js";
import type { ErrorKind } from "../bench/report/bench-result.js";
import { openObjectServer, type Fault, type ObjectServer } from "./support/object-server.js";
import { runBench } from "./support/run-bench.js";

const short = ["--duration", "600ms", "--warmup", "0s", "--rounds", "1", "--objects", "4", "--object-size", "1MiB", "--connections", "4"];
const small = [...short, "-w", "ranges-64k"];

async function openServer(t: TestContext, fault: Fault): Promise<ObjectServer> {
  const server = await openObjectServer();
  t.after(() => server.close());
  server.fault = fault;
  return server;
}

test("bench on a good server is OK: right figures, exit code 0", async (t) => {
  const server = await openServer(t, "none");
  const { code, result } = await runBench([server.url, ...small, "--verify", "all"]);
  const { total } = result.runs[0]!.rounds[0]!;
  assert.equal(code, 0, result.verdict.text);
  assert.match(result.verdict.text, /^OK/);
  assert.deepEqual(total.errors, {});
  assert.ok(total.requests > 50);
  // The server counts catalog.json and requests that the end cut off, too.
  assert.ok(server.requests >= total.requests);
  assert.ok(Math.abs(total.bodyBytes / (total.requests * 65536) - 1) < 0.2);
  assert.ok(total.verified!.bytes >= total.requests * 65536);
  assert.equal(total.verified!.wrongBytes, 0);
  assert.ok(total.ttfb!.p50 > 0 && total.ttfb!.p50 <= total.response!.p99);
  assert.equal(total.server.source, "proc");
  assert.ok(total.server.cpuSeconds! > 0);
});

test("bench reports a server that lies about bytes", async (t) => {
  const server = await openServer(t, "wrong-byte");
  const { code, result } = await runBench([server.url, ...small, "--verify", "all"]);
  const { medians, rounds } = result.runs[0]!;
  assert.equal(code, 1);
  assert.match(result.verdict.text, /wrong bytes/);
  assert.equal(rounds[0]!.total.requests, 0);
  assert.ok(medians.wrongBytes! > 0);
  // One byte in each response: the count is of bytes, not of responses that differ.
  assert.ok(Math.abs(medians.wrongBytes! - rounds[0]!.total.errors["wrong-bytes"]!) <= 4);
});

test("bench finds wrong bytes in the sample that it verifies by default", async (t) => {
  const server = await openServer(t, "wrong-object");
  const { code, result } = await runBench([server.url, ...small]);
  assert.equal(code, 1);
  const { total } = result.runs[0]!.rounds[0]!;
  assert.ok(total.errors["wrong-bytes"]! > 0);
  assert.ok(total.verified!.bytes < total.bodyBytes / 8);
});

for (const [fault, kind] of [
  ["short-body", "short-body"],
  ["wrong-range", "wrong-range"],
  ["ignore-range", "wrong-range"],
  ["503", "status-503"],
] as const satisfies [Fault, ErrorKind][]) {
  test(`bench reports ${fault} as ${kind}`, async (t) => {
    const server = await openServer(t, fault);
    const { code, result } = await runBench([server.url, ...small]);
    const { total } = result.runs[0]!.rounds[0]!;
    assert.equal(code, 1);
    assert.deepEqual(Object.keys(total.errors), [kind]);
    assert.ok(total.errors[kind]! > 0);
    assert.equal(total.requests, 0);
    assert.equal(total.response, null);
    assert.match(result.verdict.text, new RegExp(`no request succeeded \\(${kind} \\d+\\)`));
  });
}

test("bench reports connections that are reset in mid-body as reset or short-body, which the system does not always tell apart", async (t) => {
  const server = await openServer(t, "reset");
  const { code, result } = await runBench([server.url, ...small]);
  const { total } = result.runs[0]!.rounds[0]!;
  assert.equal(code, 1);
  assert.ok((total.errors.reset ?? 0) + (total.errors["short-body"] ?? 0) > 0);
  assert.deepEqual(
    Object.keys(total.errors).filter((kind) => kind !== "reset" && kind !== "short-body"),
    [],
  );
  assert.equal(total.requests, 0);
});

test("bench reports requests that are never answered as timeouts", async (t) => {
  const server = await openServer(t, "silent");
  const { code, result } = await runBench([server.url, ...small, "--timeout", "200ms"]);
  assert.equal(code, 1);
  assert.deepEqual(Object.keys(result.runs[0]!.rounds[0]!.total.errors), ["timeout"]);
});

test("bench reports a refused connection, with no figures that look like measurements", async () => {
  const server = await openObjectServer();
  await server.close();
  const { code, result } = await runBench([server.url, ...small]);
  const { total } = result.runs[0]!.rounds[0]!;
  assert.equal(code, 1);
  assert.deepEqual(Object.keys(total.errors), ["refused"]);
  assert.equal(total.ttfb, null);
  assert.equal(total.server.cpuSeconds, null);
  assert.match(total.server.missing.cpuSeconds!, /no process of this user listens/);
  assert.match(result.verdict.text, /refused/);
});

test("bench speaks TLS 1.3, and reports a certificate that it can't verify", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "millrace-bench-test-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const { cert, key } = await makeCertificate(folder);
  const server = await openObjectServer({ cert: readFileSync(cert, "utf8"), key: readFileSync(key, "utf8") });
  t.after(() => server.close());
  const trusted = await runBench([server.url, ...small, "--ca", cert]);
  assert.equal(trusted.code, 0, trusted.result.verdict.text);
  const insecure = await runBench([server.url, ...small, "--insecure"]);
  assert.equal(insecure.code, 0, insecure.result.verdict.text);
  const { code, result } = await runBench([server.url, ...small]);
  assert.equal(code, 1);
  assert.deepEqual(Object.keys(result.runs[0]!.rounds[0]!.total.errors), ["bad-certificate"]);
});
