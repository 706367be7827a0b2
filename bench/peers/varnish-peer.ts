// Varnish, with the files in malloc storage. It speaks no TLS itself.
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { findProgram } from "./find-program.js";
import type { Peer } from "./peer.js";
import { fillTemplate, freePort, portAnswers, startServer } from "./server-process.js";

export const varnishPeer: Peer = {
  name: "varnish",
  schemes: ["http"],
  find: () => findProgram("varnishd", { arguments: ["-V"], version: /varnish-[\d.]+/, package: "varnish" }),
  readsFrom: () => [],
  start: async ({ scratch, cores, memoryBytes, originUrl }) => {
    const port = await freePort();
    const origin = new URL(originUrl);
    const vcl = join(scratch, "bench.vcl");
    await writeFile(vcl, fillTemplate("varnish.vcl", { ORIGIN_HOST: origin.hostname, ORIGIN_PORT: origin.port }));
    const server = await startServer({
      name: "varnish",
      command: "varnishd",
      arguments: [
        "-F",
        "-n",
        join(scratch, "varnish"),
        "-f",
        vcl,
        "-a",
        `127.0.0.1:${port}`,
        "-T",
        "none",
        "-s",
        `malloc,${memoryBytes}`,
        "-p",
        "thread_pool_min=200",
        "-p",
        "thread_pools=1",
        "-j",
        "none",
      ],
      cores,
      ready: () => portAnswers(port),
    });
    return { ...server, baseUrl: `http://127.0.0.1:${port}/` };
  },
};
