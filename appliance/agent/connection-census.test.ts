import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { test } from "node:test";
import { addressOf, countConnections } from "./connection-census.js";

test("countConnections() counts what the kernel has open to a port, by client", async (context) => {
  const server = createServer(() => {});
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const open = (localAddress: string) =>
    new Promise<Socket>((resolve) => {
      const socket = connect({ port, host: "127.0.0.1", localAddress }, () => resolve(socket));
    });
  const sockets = await Promise.all([open("127.0.0.1"), open("127.0.0.2"), open("127.0.0.2"), open("127.0.0.2")]);
  context.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const counts = new Map<string, number>();
  countConnections(readFileSync("/proc/self/net/tcp", "latin1"), port, counts);
  const named = [...counts].map(([address, count]) => [addressOf(address).join("."), count]);
  assert.deepEqual(
    named.toSorted((a, b) => Number(a[1]) - Number(b[1])),
    [
      ["127.0.0.1", 1],
      ["127.0.0.2", 3],
    ],
  );
});

test("countConnections() leaves out other states and ports, and reads IPv6", () => {
  const counts = new Map<string, number>();
  const table = `  sl  local_address rem_address   st tx_queue
   0: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000
   1: 0100007F:1F90 0200007F:C350 01 00000000:00000000 00:00000000
   2: 0100007F:1F90 0200007F:C351 06 00000000:00000000 00:00000000
   3: 0200007F:C350 0100007F:1F90 01 00000000:00000000 00:00000000
   4: B80D0120000000000000000001000000:1F90 B80D0120000000000000000002000000:C350 01 00000000:00000000
`;
  countConnections(table, 8080, counts);
  assert.deepEqual(
    [...counts].map(([address, count]) => [[...addressOf(address)].join(), count]),
    [
      ["127,0,0,2", 1],
      ["32,1,13,184,0,0,0,0,0,0,0,0,0,0,0,2", 1],
    ],
  );
});
