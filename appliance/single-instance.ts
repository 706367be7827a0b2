// Makes sure that one appliance at a time uses an index: two would write over each other's slots.
import { createHash } from "node:crypto";
import { mkdirSync, realpathSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { messageOf, OperatingError } from "../runtime/operating-error.js";

/**
 * Takes the lock of the index folder until the process ends, however it ends: an abstract Unix socket leaves nothing behind.
 *
 * Makes the folder when it is missing. @throws OperatingError "index-in-use", "index-unusable".
 */
export async function lockIndex(indexPath: string): Promise<Server> {
  try {
    mkdirSync(indexPath, { recursive: true });
  } catch (error) {
    throw new OperatingError("index-unusable", `Cannot make the index folder ${indexPath}: ${messageOf(error)}`, {
      source: indexPath,
      cause: error,
    });
  }
  const name = createHash("sha256").update(realpathSync(indexPath)).digest("hex");
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy());
    server.once("error", (error) => {
      reject(
        new OperatingError("index-in-use", `Cannot use the index in ${indexPath}: another appliance is running on it`, {
          source: indexPath,
          cause: error,
        }),
      );
    });
    server.listen({ path: `\0millrace-index-${name}` }, () => resolve(server.unref()));
  });
}
