// The bare uWebSockets.js floor (bare-floor.ts) as a peer.
import { fileURLToPath } from "node:url";
import type { Peer } from "./peer.js";
import { freePort, portAnswers, startServer } from "./server-process.js";

export const floorPeer: Peer = {
  name: "floor",
  schemes: ["http", "https"],
  find: async () => {
    try {
      await import("uWebSockets.js");
      return { version: `uWebSockets.js on Node ${process.version}` };
    } catch {
      return { missing: `uWebSockets.js has no binary for Node ${process.version}` };
    }
  },
  readsFrom: () => [],
  start: async ({ scheme, files, certificate, cores }) => {
    const port = await freePort();
    const tls = scheme === "https" ? ["--cert", certificate.cert, "--key", certificate.key] : [];
    const server = await startServer({
      name: "the bare floor",
      command: process.execPath,
      arguments: [fileURLToPath(new URL("bare-floor.js", import.meta.url)), "--files", files, "--port", String(port), ...tls],
      cores,
      ready: () => portAnswers(port),
    });
    return { ...server, baseUrl: `${scheme}://127.0.0.1:${port}/` };
  },
};
