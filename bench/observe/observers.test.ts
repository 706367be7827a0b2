import assert from "node:assert/strict";
import { createServer, type AddressInfo } from "node:net";
import { test } from "node:test";
import { readingOf, metricsObserver, sumOfSamples } from "./metrics-observer.js";
import { observeServer } from "./observe-server.js";
import { findListeners, procObserver } from "./proc-observer.js";
import { blindObserver, serverFiguresBetween } from "./server-observer.js";

test("procObserver() sees this process spend processor time and hold memory", async () => {
  const observer = procObserver(() => [process.pid]);
  const before = await observer.read();
  const spentFrom = process.cpuUsage();
  for (let spent = 0; spent < 150_000;) {
    const usage = process.cpuUsage(spentFrom);
    spent = usage.user + usage.system;
  }
  const after = await observer.read();
  const seconds = after.cpuSeconds! - before.cpuSeconds!;
  assert.ok(seconds >= 0.1 && seconds < 10, `${seconds} s`);
  assert.ok(after.rssBytes! > 10e6);
  assert.equal(typeof after.diskReadBytes, "number");
  assert.deepEqual(after.missing, {});
});

test("procObserver() says so when the process is gone, and gives no zeros", async () => {
  const reading = await procObserver(() => [2 ** 22 + 1]).read();
  assert.equal(reading.cpuSeconds, null);
  assert.match(reading.missing.cpuSeconds!, /no process \d+ runs/);
});

test("findListeners() finds the process behind a port", async (t) => {
  const server = createServer();
  t.after(() => server.close());
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  assert.deepEqual(findListeners(port), [process.pid]);
  const observer = await observeServer(new URL(`http://127.0.0.1:${port}/`), {});
  assert.equal(observer.source, "proc");
});

test("observeServer() is blind, with a reason, for a host elsewhere without metrics", async () => {
  const observer = await observeServer(new URL("http://192.0.2.7/"), {});
  assert.equal(observer.source, "none");
  assert.match((await observer.read()).missing.rssBytes!, /192\.0\.2\.7 is another machine/);
});

test("readingOf() takes the figures from Prometheus' text and names what is not there", () => {
  const text = [
    "# HELP process_cpu_seconds_total Total CPU.",
    "# TYPE process_cpu_seconds_total counter",
    "process_cpu_seconds_total 12.5",
    "process_cpu_seconds_total_other 99",
    'process_resident_memory_bytes{worker="1"} 1e6',
    'process_resident_memory_bytes{worker="2",path="/a b"} 2e6 1700000000000',
  ].join("\n");
  const reading = readingOf(text, "http://x/metrics");
  assert.equal(reading.cpuSeconds, 12.5);
  assert.equal(reading.rssBytes, 3e6);
  assert.equal(reading.diskReadBytes, null);
  assert.match(reading.missing.diskReadBytes!, /has no millrace_disk_read_bytes_total/);
  assert.equal(sumOfSamples("up NaN", "up"), null);
});

test("metricsObserver() gives the reason when the metrics can't be had", async () => {
  const reading = await metricsObserver("http://127.0.0.1:9/metrics").read();
  assert.equal(reading.cpuSeconds, null);
  assert.match(reading.missing.cpuSeconds!, /127\.0\.0\.1:9\/metrics could not be read/);
});

test("serverFiguresBetween() divides by the work, and gives null where there was none or a counter fell", async () => {
  const reading = { cpuSeconds: 1, rssBytes: 100, diskReadBytes: 50, missing: {} };
  const after = { cpuSeconds: 3, rssBytes: 90, diskReadBytes: 40, missing: {} };
  const figures = serverFiguresBetween("proc", { before: reading, after }, { requests: 1000, bodyBytes: 4e9 });
  assert.equal(figures.cpuSecondsPerGigabyte, 0.5);
  assert.equal(figures.cpuMicrosecondsPerRequest, 2000);
  assert.equal(figures.rssBytes, 100);
  assert.equal(figures.diskReadBytes, null);
  assert.match(figures.missing.diskReadBytes!, /fell/);
  const idle = serverFiguresBetween("proc", { before: reading, after }, { requests: 0, bodyBytes: 0 });
  assert.equal(idle.cpuSecondsPerGigabyte, null);
  const blind = await blindObserver("why").read();
  assert.equal(serverFiguresBetween("none", { before: blind, after: blind }, { requests: 1, bodyBytes: 1 }).cpuSeconds, null);
});
