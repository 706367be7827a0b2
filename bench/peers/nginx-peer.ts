// nginx, serving the files with sendfile.
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Peer } from "./peer.js";
import { findProgram } from "./find-program.js";
import { fillTemplate, freePort, portAnswers, startServer } from "./server-process.js";

export const nginxPeer: Peer = {
  name: "nginx",
  schemes: ["http", "https"],
  find: () => findProgram("nginx", { arguments: ["-v"], version: /nginx\/\S+/, package: "nginx" }),
  readsFrom: ({ files }) => [files],
  start: async ({ scheme, files, scratch, certificate, cores }) => {
    const port = await freePort();
    const path = join(scratch, "nginx.conf");
    const secure = scheme === "https";
    const text = fillTemplate("nginx.conf", {
      SCRATCH: scratch,
      PORT: port,
      FILES: files,
      // Workers drop to another user when the master is root, and could not read the bench's files then.
      USER: process.getuid?.() === 0 ? "user root;" : "",
      SSL: secure ? "ssl" : "",
      TLS_SETTINGS: secure ? fillTemplate("nginx-tls.conf", { CERT: certificate.cert, KEY: certificate.key }) : "",
    });
    await writeFile(path, text);
    const server = await startServer({
      name: "nginx",
      command: "nginx",
      arguments: ["-p", scratch, "-c", path],
      cores,
      ready: () => portAnswers(port),
    });
    return { ...server, baseUrl: `${scheme}://127.0.0.1:${port}/` };
  },
};
