// Speaks to a server byte by byte, as no HTTP client would.
import { connect } from "node:net";

export interface RawAnswer {
  /** All that came back, a character a byte. */
  text: string;
  /** Who ended it: the server, or we, after a silence. */
  ended: "server" | "silence";
}

/** Sends bytes as they are; resolves to all that comes back until the other side closes, or falls silent. */
export function sendRaw(
  url: string,
  text: string | Buffer,
  { silenceMs = 1500, halfClose = false }: { silenceMs?: number; halfClose?: boolean } = {},
): Promise<RawAnswer> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve) => {
    const parts: Buffer[] = [];
    let ended: RawAnswer["ended"] = "server";
    const socket = connect({ host: hostname, port: Number(port), allowHalfOpen: halfClose }, () => {
      if (halfClose) socket.end(text);
      else socket.write(text);
    });
    socket.setTimeout(silenceMs, () => {
      ended = "silence";
      socket.destroy();
    });
    socket.on("data", (data) => parts.push(data));
    socket.on("end", () => socket.end());
    socket.on("error", () => {});
    socket.on("close", () => resolve({ text: Buffer.concat(parts).toString("latin1"), ended }));
  });
}
