// Clients that mean no good, or are just slow: others are served meanwhile, and nothing is left behind.
import assert from "node:assert/strict";
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as wait } from "node:timers/promises";
import { request } from "undici";
import { readMetric, readStatus, startAppliance, type ApplianceFixture } from "./support/start-appliance.js";
import { temporaryFolder } from "./support/temporary-folder.js";
import { waitUntil } from "./support/wait-until.js";

const folder = temporaryFolder();
const chunkBytes = 65_536;
const frames = 64;
/** More than what the kernel keeps for a client that does not read, so that such a response stays open. */
const film = Buffer.alloc(12_000_000);
for (let at = 0; at < film.length; at += 4) film.writeUInt32LE(at, at);
let appliance: ApplianceFixture;

before(async () => {
  mkdirSync(join(folder, "origin"));
  for (const name of ["film.mp4", "other.mp4"]) writeFileSync(join(folder, "origin", name), film);
  appliance = await startAppliance({
    folder,
    upstreams: [`file://${folder}/origin/`],
    chunk: chunkBytes,
    settings: { ram: frames * chunkBytes, limits: { requestsPerWorker: 1000 }, disk: { syncEvery: "20ms" } },
  });
  // A few chunks at a time: what finds no place to wait for its disk is served from memory, and not stored.
  const [chunks, chunksAtOnce] = [Math.ceil(film.length / chunkBytes), frames / 8];
  for (const [place, name] of ["film.mp4", "other.mp4"].entries()) {
    for (let chunk = 0; chunk < chunks; chunk += chunksAtOnce) {
      const end = Math.min(chunks, chunk + chunksAtOnce);
      await (
        await fetch(appliance.url + name, { headers: { Range: `bytes=${chunk * chunkBytes}-${end * chunkBytes - 1}` } })
      ).arrayBuffer();
      const stored = () => readMetric(appliance, "millrace_fill_stored_chunks_total");
      await waitUntil(`${end} chunks of ${name} are on the disks`, async () => (await stored()) >= place * chunks + end);
    }
  }
});
after(async () => {
  const { code, stderr } = await appliance.stop();
  assert.equal(code, 0, stderr);
});

const socketsOpen = () => readdirSync(`/proc/${appliance.pid}/fd`).length;

function open(): Socket {
  const { hostname, port } = new URL(appliance.url);
  const socket = connect(Number(port), hostname);
  socket.on("error", () => {});
  return socket;
}

const head = "GET /film.mp4 HTTP/1.1\r\nHost: x\r\n\r\n";

/** Does `harm`, fetches and checks ranges meanwhile, and waits until frames, responses and sockets are as before. */
async function survive(harm: () => Promise<void>): Promise<void> {
  const socketsBefore = socketsOpen();
  const state = { over: false };
  let served = 0;
  const player = (async () => {
    while (!state.over) {
      const first = (served * 70_001) % (film.length - 200_000);
      const answer = await request(`${appliance.url}film.mp4`, { headers: { range: `bytes=${first}-${first + 199_999}` } });
      const body = Buffer.from(await answer.body.arrayBuffer());
      // A frame may be short for a moment: the player asks again.
      if (answer.statusCode === 503) {
        await wait(20);
        continue;
      }
      assert.ok(body.equals(film.subarray(first, first + 200_000)), `range from ${first}`);
      served++;
    }
  })();
  await Promise.race([harm(), player]);
  await waitUntil("a player is served", () => served >= 3);
  state.over = true;
  await player;
  await waitUntil(
    "frames, responses and sockets are back",
    async () => {
      const { memory, requests } = await readStatus(appliance);
      return memory.pinned === 0 && requests.underWay === 0 && socketsOpen() <= socketsBefore + 4;
    },
    30_000,
  );
}

test(
  "slowloris: two hundred requests that come a byte at a time are closed, and none of them is answered",
  { timeout: 60_000 },
  async () => {
    await survive(async () => {
      const sockets = Array.from({ length: 200 }, open);
      let closed = 0;
      for (const socket of sockets) socket.on("close", () => closed++);
      for (const socket of sockets) socket.write("GET /film.mp4 HTTP/1.1\r\nHost: x\r\nX-A: ");
      const drip = setInterval(() => {
        for (const socket of sockets) if (socket.writable) socket.write("a");
      }, 500);
      await wait(3000);
      clearInterval(drip);
      // They fall silent now, and are closed by the appliance.
      await waitUntil("all are closed", () => closed === sockets.length, 30_000);
    });
  },
);

test("clients that never read cost a frame each at most, and are closed", { timeout: 60_000 }, async () => {
  await survive(async () => {
    const sockets = Array.from({ length: 40 }, open);
    let closed = 0;
    for (const socket of sockets) {
      socket.pause();
      socket.on("close", () => closed++);
      socket.write(head);
    }
    await waitUntil("responses are under way", async () => (await readStatus(appliance)).requests.underWay >= 30);
    assert.ok((await readStatus(appliance)).memory.pinned <= sockets.length + 8);
    await waitUntil("they are given up", async () => (await readStatus(appliance)).requests.underWay <= 2, 30_000);
    for (const socket of sockets) socket.destroy();
  });
});

test("when every frame is pinned, the answer is 503 with Retry-After, at once", { timeout: 60_000 }, async () => {
  const sockets: Socket[] = [];
  const refused = await waitUntil("a request finds no frame", async () => {
    // Some find no frame themselves and are cut off: more come until those that hold one hold all.
    for (let more = 0; more < 16 && sockets.length < 1000; more++) {
      const socket = open();
      sockets.push(socket);
      socket.pause();
      // Each in a chunk of its own, and with more to come than the kernel keeps.
      const first = (sockets.length % 40) * chunkBytes;
      socket.write(`GET /film.mp4 HTTP/1.1\r\nHost: x\r\nRange: bytes=${first}-\r\n\r\n`);
    }
    const startedAtMs = performance.now();
    const at = Math.floor(startedAtMs * 1000) % 180;
    const answer = await request(`${appliance.url}other.mp4`, {
      headers: { range: `bytes=${at * chunkBytes}-${at * chunkBytes}` },
    });
    await answer.body.dump();
    return answer.statusCode === 503 && { retryAfter: answer.headers["retry-after"], tookMs: performance.now() - startedAtMs };
  });
  assert.equal(refused.retryAfter, "1");
  assert.ok(refused.tookMs < 1000, `${refused.tookMs} ms`);
  for (const socket of sockets) socket.destroy();
  await survive(async () => {});
});

test("clients that leave at random, in any moment of a request", { timeout: 60_000 }, async () => {
  await survive(async () => {
    for (let round = 0; round < 10; round++) {
      await Promise.all(
        Array.from({ length: 40 }, async (_, at) => {
          const socket = open();
          socket.write(head.slice(0, 1 + ((at * 7919) % head.length)) + (at % 2 === 0 ? "" : head));
          await wait((at * 31) % 60);
          if (at % 3 === 0) socket.resetAndDestroy();
          else socket.destroy();
        }),
      );
    }
  });
});

test("clients that read a byte at a time get their bytes", { timeout: 60_000 }, async () => {
  await survive(async () => {
    await Promise.all(
      Array.from({ length: 20 }, async () => {
        const socket = open();
        socket.write("GET /film.mp4 HTTP/1.1\r\nHost: x\r\nRange: bytes=100-299\r\nConnection: close\r\n\r\n");
        let text = "";
        for await (const part of socket.setEncoding("latin1").iterator()) for (const character of part as string) text += character;
        const body = text.slice(text.indexOf("\r\n\r\n") + 4);
        assert.ok(Buffer.from(body, "latin1").equals(film.subarray(100, 300)));
      }),
    );
    const slow = open();
    slow.write(head);
    slow.pause();
    for (let read = 0; read < 2000; read++) {
      if (slow.read(1) === null) await new Promise((resolve) => slow.once("readable", resolve));
    }
    slow.destroy();
  });
});

test("five thousand connections that come and go", { timeout: 120_000 }, async () => {
  const memoryBefore = await readMetric(appliance, "process_resident_memory_bytes");
  await survive(async () => {
    for (let round = 0; round < 50; round++) {
      await Promise.all(
        Array.from({ length: 100 }, async (_, at) => {
          const socket = open();
          await new Promise((resolve) => socket.once("connect", resolve).once("close", resolve));
          if (at % 2 === 0) {
            socket.write("HEAD /film.mp4 HTTP/1.1\r\nHost: x\r\n\r\n");
            await new Promise((resolve) => socket.once("data", resolve).once("close", resolve));
          }
          socket.destroy();
        }),
      );
    }
  });
  const grownBytes = (await readMetric(appliance, "process_resident_memory_bytes")) - memoryBefore;
  assert.ok(grownBytes < 100e6, `memory has grown by ${Math.round(grownBytes / 1e6)} MB`);
});
