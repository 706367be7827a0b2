// How many connections a local port has, from Linux's /proc.
import { readFileSync } from "node:fs";

/** States of a connection that a server still has to do with: established, and half closed by the other side. */
const heldStates = new Set(["01", "08"]);

/** Connections of the server's side. TIME_WAIT is the kernel's affair alone. */
export function countSockets(port: number): number {
  const own = port.toString(16).toUpperCase().padStart(4, "0");
  let count = 0;
  for (const table of ["/proc/net/tcp", "/proc/net/tcp6"]) {
    let text: string;
    try {
      text = readFileSync(table, "utf8");
    } catch {
      continue;
    }
    for (const line of text.split("\n").slice(1)) {
      const [, local, , state] = line.trim().split(/\s+/);
      if (local?.endsWith(`:${own}`) && heldStates.has(state!)) count++;
    }
  }
  return count;
}
