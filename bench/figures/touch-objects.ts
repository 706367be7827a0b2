// Asks for one byte of each object: enough for the appliance to fetch all of its first chunk.
import { Agent, request } from "node:http";
import type { CatalogObject } from "../load/load-plan.js";

/** Calls `mayGoOn` before each request, and waits while it says no. Resolves to how many requests were not answered with 206. */
export async function touchObjects(
  baseUrl: string,
  objects: readonly CatalogObject[],
  options: { connections: number; mayGoOn: () => boolean; signal: AbortSignal },
): Promise<number> {
  const agent = new Agent({ keepAlive: true, maxSockets: options.connections });
  let next = 0;
  let failed = 0;
  const lane = async () => {
    while (next < objects.length && !options.signal.aborted) {
      if (!options.mayGoOn()) {
        await new Promise((resolve) => setTimeout(resolve, 2));
        continue;
      }
      const object = objects[next++]!;
      if ((await statusOf(agent, `${baseUrl}${object.name}`)) !== 206) failed++;
    }
  };
  try {
    await Promise.all(Array.from({ length: options.connections }, lane));
  } finally {
    agent.destroy();
  }
  return failed;
}

function statusOf(agent: Agent, url: string): Promise<number> {
  return new Promise((resolve) => {
    request(url, { agent, headers: { range: "bytes=0-0" } }, (response) => {
      response.resume();
      response.once("end", () => resolve(response.statusCode ?? 0));
      response.once("error", () => resolve(0));
    })
      .once("error", () => resolve(0))
      .end();
  });
}
