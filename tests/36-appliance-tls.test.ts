// HTTPS: versions, a certificate by name, and new certificates without a broken connection.
import assert from "node:assert/strict";
import { once } from "node:events";
import { copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { connect, type ConnectionOptions, type TLSSocket } from "node:tls";
import { makeCertificate } from "./support/make-certificate.js";
import { startAppliance, type ApplianceFixture } from "./support/start-appliance.js";
import { temporaryFolder } from "./support/temporary-folder.js";
import { waitUntil } from "./support/wait-until.js";

const folder = temporaryFolder();
let appliance: ApplianceFixture;
let port: number;

before(async () => {
  mkdirSync(join(folder, "origin"));
  writeFileSync(join(folder, "origin", "film.mp4"), Buffer.alloc(4_000_000, "film"));
  const standard = makeCertificate(folder, "standard", ["cdn.example"]);
  const others = [makeCertificate(folder, "a", ["a.example"]), makeCertificate(folder, "b", ["b.example", "*.b.example"])];
  makeCertificate(folder, "renewed", ["renewed.example"]);
  appliance = await startAppliance({
    folder,
    upstreams: [`file://${folder}/origin/`],
    settings: { listen: { port: 0, tls: { ...standard, others } } },
  });
  port = Number(appliance.ready["port"]);
});
after(async () => {
  const { code, stderr } = await appliance.stop();
  assert.equal(code, 0, stderr);
});

async function open(options: ConnectionOptions = {}): Promise<TLSSocket> {
  const socket = connect({ host: "127.0.0.1", port, rejectUnauthorized: false, ...options });
  await once(socket, "secureConnect");
  return socket;
}

const subjectOf = (socket: TLSSocket) => String(socket.getPeerCertificate().subject.CN);

/** The status line of the answer to a request on this connection. */
async function ask(socket: TLSSocket, range = "bytes=0-1"): Promise<string> {
  socket.write(`GET /film.mp4 HTTP/1.1\r\nHost: x\r\nRange: ${range}\r\n\r\n`);
  const [data] = (await once(socket, "data")) as [Buffer];
  return data.toString("latin1").split("\r\n", 1)[0]!;
}

test("TLS 1.2 and 1.3 are spoken, and 1.1 is not", async () => {
  for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
    const socket = await open({ minVersion: version, maxVersion: version });
    assert.equal(socket.getProtocol(), version);
    assert.match(await ask(socket), /^HTTP\/1\.1 206 /);
    socket.destroy();
  }
  await assert.rejects(open({ minVersion: "TLSv1", maxVersion: "TLSv1.1" }));
});

test("the certificate follows the name that the client asks for, and the first is for all others", async () => {
  const rows = { "a.example": "a.example", "b.example": "b.example", "x.b.example": "b.example", "other.example": "cdn.example" };
  for (const [servername, subject] of Object.entries(rows)) {
    const socket = await open({ servername });
    assert.equal(subjectOf(socket), subject, servername);
    assert.match(await ask(socket), /^HTTP\/1\.1 206 /, servername);
    socket.destroy();
  }
});

test("a renewed certificate is used without a signal; open connections and downloads go on, and none is refused", async () => {
  const idle = await open();
  assert.match(await ask(idle), /206/);
  const busy = await open();
  busy.write("GET /film.mp4 HTTP/1.1\r\nHost: x\r\n\r\n");
  await once(busy, "readable");
  let failed = 0;
  let opened = 0;
  const state = { stop: false };
  const churn = (async () => {
    while (!state.stop) {
      await open().then(
        (socket) => {
          opened++;
          socket.destroy();
        },
        () => failed++,
      );
    }
  })();
  for (const part of ["cert", "key"]) copyFileSync(join(folder, `renewed.${part}.pem`), join(folder, `standard.${part}.pem`));
  await waitUntil("the new certificate is used", async () => {
    const sockets = await Promise.all(Array.from({ length: 8 }, () => open()));
    const subjects = sockets.map(subjectOf);
    for (const socket of sockets) socket.destroy();
    return subjects.every((subject) => subject === "renewed.example");
  });
  state.stop = true;
  await churn;
  assert.equal(failed, 0, `${failed} of ${failed + opened} connections failed`);
  assert.match(await ask(idle), /206/, "a connection of before");
  let received = 0;
  busy.on("data", (data: Buffer) => (received += data.length));
  await waitUntil("the download of before is whole", () => received > 4_000_000);
  idle.destroy();
  busy.destroy();
});

test("a certificate that does not fit its key is reported, and the one of before stays", async () => {
  copyFileSync(join(folder, "a.cert.pem"), join(folder, "standard.cert.pem"));
  process.kill(appliance.pid, "SIGHUP");
  await waitUntil("the misfit is reported", () => appliance.log().includes("is the key of another certificate"));
  const socket = await open();
  assert.equal(subjectOf(socket), "renewed.example");
  socket.destroy();
});
