// A serving and a fill worker in one thread: what neither of their rooms can show alone.
import assert from "node:assert/strict";
import { createServer, connect, type AddressInfo } from "node:net";
import { test, type TestContext } from "node:test";
import { MessageChannel } from "node:worker_threads";
import fc from "fast-check";
import { SlabFiles } from "./disk/slab-files.js";
import { SlotReader } from "./disk/slot-reader.js";
import { FillService } from "./fill/fill-service.js";
import { byteAt, objectOf, openTemporaryStage, ScriptedUpstream, until, type StageOptions } from "./fill/temporary-stage.js";
import { allocateHeat, HeatCounter } from "./heat-table.js";
import { ChunkGetter } from "./serve/chunk-getter.js";
import { ClientRules } from "./serve/client-rules.js";
import { FillClient } from "./serve/fill-client.js";
import { ObjectFinder } from "./serve/object-finder.js";
import { PaceWheel } from "./serve/pace-wheel.js";
import { TokenChecker } from "./serve/token-checker.js";
import { systemClock } from "../runtime/clock.js";
import { RequestHandler } from "./http/request-handler.js";
import { ServeApp } from "./http/serve-app.js";

/** A free port, for an app that shares its port with others and cannot be asked which it got. */
async function freePort(): Promise<number> {
  const probe = createServer();
  await new Promise<void>((resolve) => probe.listen(0, "127.0.0.1", resolve));
  const { port } = probe.address() as AddressInfo;
  await new Promise((resolve) => probe.close(resolve));
  return port;
}

/** A serving worker and a fill worker, real in all but that they share one thread, before `origin`. */
async function openApp(context: TestContext, origin: ScriptedUpstream, options: StageOptions = {}) {
  const stage = openTemporaryStage(context, { frames: 16, ...options });
  const { port1, port2 } = new MessageChannel();
  const service = new FillService({
    ...stage,
    fetchesMax: 8,
    waitingFetchesMax: 100,
    manifestFetchesMax: 1,
    openSource: () => origin,
    toMain: () => {},
    upstreams: [origin],
  });
  service.serve(port2);
  const fill = new FillClient(port1, stage.arena, (path) => finder.forget(path));
  const finder = new ObjectFinder({ ...stage, fill, objectsMax: 100, revalidateAfterMs: 1e9 });
  const files = new SlabFiles(stage.geometry, "read");
  const reader = new SlotReader({ ...stage, files, readsPerDiskMax: 4, waitingPerDiskMax: 100, onDiskLost: () => {} });
  const getter = new ChunkGetter({ ...stage, fill, miss: "fill", reader });
  const port = await freePort();
  const tokens = new TokenChecker({ required: false, keys: [], revokedSessions: [] }, systemClock);
  const handler = new RequestHandler({
    ...stage,
    fill,
    finder,
    heat: new HeatCounter(allocateHeat(1), 0),
    getter,
    miss: "fill",
    redirectBase: "",
    requestsMax: 100,
    clients: new ClientRules({ allow: [], deny: [], unlimited: [] }),
    fillRequestsMax: 100,
    readAheadChunks: 2,
    listHoldings: () => undefined,
    tokens,
    pacing: { bytesPerSecond: undefined, burstBytes: 1, followPlayers: false },
    wheel: new PaceWheel({ nowMs: () => performance.now(), setTimer: (callback, delayMs) => void setTimeout(callback, delayMs) }),
  });
  const onCrash = (error: unknown) => {
    throw error;
  };
  const app = new ServeApp({ host: "127.0.0.1", port, certificates: [], handler, onCrash });
  app.listen();
  stage.endFirst(async () => {
    await app.drain();
    app.close();
    fill.close();
    port2.close();
    files.closeAll();
  });
  return { ...stage, port, app, url: `http://127.0.0.1:${port}` };
}

/** All that comes back on one connection for requests that are sent one after the other, each when the one before is answered. */
async function talk(port: number, requests: readonly (string | Buffer)[]): Promise<string> {
  const socket = connect(port, "127.0.0.1");
  let answer = "";
  socket.setEncoding("latin1");
  socket.on("data", (part: string) => (answer += part));
  for (const [at, request] of requests.entries()) {
    socket.write(request);
    await until(() => answer.split("HTTP/1.1 ").length === at + 2 && answer.includes("\r\n\r\n"), `answer ${at}`);
  }
  socket.destroy();
  return answer;
}

const request = (method: string, path: string | Buffer) =>
  Buffer.concat([Buffer.from(`${method} /`), Buffer.from(path), Buffer.from(" HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")]);

test("ServeApp answers HEAD without a body whatever the status: the next answer on the connection is whole", async (context) => {
  const { port } = await openApp(context, new ScriptedUpstream("origin", [objectOf("a", 95), objectOf("empty", 0)]));
  const paths = ["nothing", "a", "a//b", ".millrace/x", ".millrace/digests/a", "empty", "nothing"];
  const answer = await talk(port, [...paths.map((path) => request("HEAD", path)), request("PUT", "a")]);
  const statuses = [...answer.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => Number(status));
  assert.deepEqual(statuses, [404, 200, 400, 404, 404, 200, 404, 405]);
  for (const [at, part] of answer.split("HTTP/1.1 ").slice(1, -1).entries()) {
    assert.match(part, /^content-length: \d+\r$/im);
    assert.ok(part.endsWith("\r\n\r\n"), `HEAD ${paths[at]}: ${part}`);
  }
});

test("ServeApp lives through the longest path that can be sent, in any characters", async (context) => {
  const { port, url } = await openApp(context, new ScriptedUpstream("origin", [objectOf("a", 95)]));
  // A byte that is no UTF-8 becomes a character of three bytes: these are the longest.
  for (const path of [Buffer.alloc(2040, 0xff), "€".repeat(1000), "a".repeat(2047), "%ff", "a%00"]) {
    assert.match(await talk(port, [request("GET", path)]), /^HTTP\/1\.1 400 /);
  }
  assert.equal((await (await fetch(`${url}/a`)).arrayBuffer()).byteLength, 95);
});

test("ServeApp gives the object's own bytes for any range, at any chunk size, while frames and slots are few; no pin is left", async (context) => {
  for (const chunkBytes of [1, 7, 64]) {
    const objects = [1, 7, 8, 63, 64, 65, 128, 500].map((sizeBytes) => objectOf(`size-${sizeBytes}`, sizeBytes));
    const { url, arena } = await openApp(context, new ScriptedUpstream("origin", objects), { chunkBytes, frames: 8, slots: [20, 9] });
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...objects), fc.nat(), fc.nat(), async (object, a, b) => {
        const first = a % object.sizeBytes;
        const last = first + (b % 700);
        const response = await fetch(`${url}/${object.path}`, { headers: { range: `bytes=${first}-${last}` } });
        const bytes = new Uint8Array(await response.arrayBuffer());
        const end = Math.min(last, object.sizeBytes - 1);
        assert.equal(response.status, 206);
        assert.equal(response.headers.get("content-range"), `bytes ${first}-${end}/${object.sizeBytes}`);
        assert.deepEqual(
          bytes,
          Uint8Array.from({ length: end - first + 1 }, (_, at) => byteAt(object, first + at)),
        );
      }),
      { numRuns: 60 },
    );
    await until(() => arena.counts().pinned === 0, "the last unpin");
  }
});

test("ServeApp lets go of every frame when clients leave in mid-body", async (context) => {
  const object = objectOf("a", 4_000_000);
  const { port, arena, count } = await openApp(context, new ScriptedUpstream("origin", [object]), {
    chunkBytes: 65_536,
    frames: 32,
    slots: [40],
  });
  const sockets = Array.from({ length: 12 }, () => {
    const socket = connect(port, "127.0.0.1");
    // Never read from: the response stops when the socket's buffers are full.
    socket.pause();
    socket.on("error", () => {});
    socket.write("GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
    return socket;
  });
  await until(() => arena.counts().pinned > 0 && count("underWay") > 0, "the responses' start");
  for (const [at, socket] of sockets.entries()) {
    if (at % 2 === 0) socket.resetAndDestroy();
    else socket.destroy();
  }
  await until(() => count("underWay") === 0 && arena.counts().pinned === 0, "the last unpin");
});
