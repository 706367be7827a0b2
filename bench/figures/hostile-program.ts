// A program of its own: clients that want to do harm, all at once, until it is told to stop (SIGTERM). Each kind is what one careless or hostile client does.
//
//   node hostile-program.js HOST PORT SCHEME PATH CLIENTS-OF-EACH-KIND
import { connect as connectTcp, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";

const [host, port, scheme, path, each] = process.argv.slice(2) as [string, string, string, string, string];
const request = `GET ${path} HTTP/1.1\r\nHost: ${host}\r\n\r\n`;
const sockets = new Set<Socket>();
let stopping = false;

/** Opens again when it was closed: a server that throws hostile clients out shall meet them again. `kind` gets the connection below TLS, too. */
function open(kind: (socket: Socket, tcp: Socket) => void, extra: object = {}): void {
  if (stopping) return;
  const tcp = connectTcp({ host, port: Number(port), ...(scheme === "http" && extra) });
  const socket = scheme === "https" ? connectTls({ socket: tcp, rejectUnauthorized: false, ...extra }) : tcp;
  sockets.add(tcp);
  tcp.on("error", () => {});
  if (socket !== tcp) socket.on("error", () => {});
  socket.once(scheme === "https" ? "secureConnect" : "connect", () => kind(socket, tcp));
  tcp.once("close", () => {
    socket.destroy();
    sockets.delete(tcp);
    setTimeout(() => open(kind, extra), 50);
  });
}

const kinds = {
  /** A byte of a header now and then, never the end of it. */
  slowloris: () =>
    open((socket) => {
      socket.write(`GET ${path} HTTP/1.1\r\nHost: ${host}\r\nX-Slow: `);
      const timer = setInterval(() => socket.write("a"), 500);
      socket.once("close", () => clearInterval(timer));
      socket.resume();
    }),
  /** Asks for all of it and reads nothing. */
  neverReads: () =>
    open((socket) => {
      socket.pause();
      socket.write(request);
    }),
  /** Leaves at a random moment, half of them with a reset; a quarter in mid-response. It asks for a part: a hundred greedy readers would be a load, not a trick. */
  aborts: () =>
    open((socket, tcp) => {
      socket.resume();
      socket.write(`GET ${path} HTTP/1.1\r\nHost: ${host}\r\nRange: bytes=0-262143\r\n\r\n`);
      if (Math.random() < 0.25) return void setTimeout(() => tcp.resetAndDestroy(), Math.random() * 3);
      setTimeout(() => (Math.random() < 0.5 ? tcp.destroy() : tcp.resetAndDestroy()), Math.random() * 2000);
    }),
  /** Reads a byte every few milliseconds. */
  readsByte: () => {
    const buffer = Buffer.alloc(1);
    let current: Socket | undefined;
    const onread = {
      buffer,
      callback: () => {
        const socket = current;
        setTimeout(() => socket?.resume(), 20);
        return false;
      },
    };
    open(
      (socket) => {
        current = socket;
        socket.write(request);
      },
      { onread },
    );
  },
} as const;

for (const start of Object.values(kinds)) for (let at = 0; at < Number(each); at++) setTimeout(start, Math.random() * 500);
process.stdout.write("started\n");
process.once("SIGTERM", () => {
  stopping = true;
  for (const socket of sockets) socket.destroy();
  process.exit();
});
