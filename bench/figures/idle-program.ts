// A program of its own: opens connections to a server, asks once on each every few seconds so that the server keeps them, and says how many are open.
//
//   node idle-program.js PORT SCHEME PATH COUNT
import { connect as connectTcp, type Socket } from "node:net";
import { connect as connectTls, createSecureContext } from "node:tls";

const [port, scheme, path, count] = process.argv.slice(2) as [string, string, string, string];
const request = `HEAD ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`;
/** Below the ten seconds after which the server closes a connection that is not used. */
const askEveryMs = 4000;
/** Handshakes under way. */
const atOnce = 64;
const sourceAddresses = 8;
const secureContext = scheme === "https" ? createSecureContext({ minVersion: "TLSv1.3" }) : undefined;
let opened = 0;
let open = 0;
let failed = 0;

function openNext(): void {
  if (opened >= Number(count)) return;
  const number = opened++;
  const target = { host: "127.0.0.1", port: Number(port), localAddress: `127.0.0.${2 + (number % sourceAddresses)}` };
  const socket: Socket = secureContext ? connectTls({ ...target, secureContext, rejectUnauthorized: false }) : connectTcp(target);
  let up = false;
  const turn = () => socket.write(request);
  socket.resume();
  socket.once(secureContext ? "secureConnect" : "connect", () => {
    up = true;
    open++;
    turn();
    const timer = setInterval(turn, askEveryMs);
    socket.once("close", () => {
      clearInterval(timer);
      open--;
    });
    openNext();
  });
  socket.on("error", () => {});
  socket.once("close", () => {
    if (up) return;
    failed++;
    openNext();
  });
}

for (let at = 0; at < atOnce; at++) openNext();
setInterval(() => process.stdout.write(`${JSON.stringify({ open, failed })}\n`), 100);
process.once("SIGTERM", () => process.exit());
