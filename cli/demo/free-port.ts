// Finds a port to listen on: the usual one, or any that is free.
import { createServer, type AddressInfo } from "node:net";

/** `preferred` when nobody has it and it is not in `given`; else a free one. Adds the answer to `given`. */
export async function freePort(host: string, preferred: number, given: Set<number>): Promise<number> {
  let port = given.has(preferred) ? undefined : await tryPort(host, preferred);
  while (port === undefined || given.has(port)) port = await tryPort(host, 0);
  given.add(port);
  return port;
}

function tryPort(host: string, port: number): Promise<number | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(undefined));
    server.listen(port, host, () => {
      const taken = (server.address() as AddressInfo).port;
      server.close(() => resolve(taken));
    });
  });
}
