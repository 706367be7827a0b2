// A port for a server that can't be told to pick one by itself.
import { createServer, type AddressInfo } from "node:net";

/** A loopback port that was free a moment ago: who listens on it must be ready to try another. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}
