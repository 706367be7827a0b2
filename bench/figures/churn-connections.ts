// Many short connections, one after another: with a request, without one, ended in order and by a reset.
import { connect } from "node:net";

/** More source addresses than one, or the ports of the system would run out. */
const sourceAddresses = 32;
const connectionTimeoutMs = 10_000;

/** Resolves to how many of `count` connections could not be made, or were not answered. */
export async function churnConnections(
  port: number,
  options: { count: number; atOnce: number; path: string; signal: AbortSignal; onProgress: (done: number) => void },
): Promise<number> {
  let next = 0;
  let failed = 0;
  const lane = async () => {
    while (next < options.count && !options.signal.aborted) {
      const number = next++;
      if (!(await connectOnce(port, number, options.path))) failed++;
      if (number % 1000 === 0) options.onProgress(number);
    }
  };
  await Promise.all(Array.from({ length: options.atOnce }, lane));
  return failed;
}

function connectOnce(port: number, number: number, path: string): Promise<boolean> {
  const asks = number % 4 !== 3;
  const resets = number % 4 === 1;
  return new Promise((resolve) => {
    const socket = connect({ host: "127.0.0.1", port, localAddress: `127.0.0.${2 + (number % sourceAddresses)}` });
    let good = false;
    const leave = () => {
      good = true;
      if (resets) socket.resetAndDestroy();
      else socket.destroy();
    };
    socket.setTimeout(connectionTimeoutMs, () => socket.destroy());
    socket.once("connect", () => {
      if (!asks) return leave();
      socket.write(`GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nRange: bytes=0-1023\r\n\r\n`);
    });
    socket.once("data", (data) => (data.subarray(0, 12).toString("latin1") === "HTTP/1.1 206" ? leave() : socket.destroy()));
    socket.once("error", () => {});
    socket.once("close", () => resolve(good));
  });
}
