// Apache Traffic Server, with the files in its RAM cache.
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { findProgram } from "./find-program.js";
import type { Peer } from "./peer.js";
import { fillTemplate, freePort, portAnswers, startServer } from "./server-process.js";

/** Where everything of one instance lies: Traffic Server's "runroot". */
const runRootFolders = {
  sysconfdir: "etc",
  localstatedir: "var",
  runtimedir: "run",
  logdir: "log",
  cachedir: "cache",
  libexecdir: "modules",
  bindir: "bin",
  sbindir: "sbin",
  datadir: "share",
  libdir: "lib",
  includedir: "include",
} as const;

export const trafficserverPeer: Peer = {
  name: "trafficserver",
  schemes: ["http", "https"],
  find: () => findProgram("traffic_server", { arguments: ["--version"], version: /Traffic Server [\d.]+/, package: "trafficserver" }),
  readsFrom: ({ scratch }) => [join(scratch, "cache")],
  start: async ({ scheme, scratch, certificate, cores, memoryBytes, diskBytes, originUrl }) => {
    const port = await freePort();
    const folders = Object.entries(runRootFolders).map(([key, folder]) => [key, join(scratch, folder)] as const);
    for (const [, folder] of folders) await mkdir(folder, { recursive: true });
    const errorPages = join(scratch, "body_factory/default");
    await mkdir(errorPages, { recursive: true });
    const runRoot = join(scratch, "runroot.yaml");
    const secure = scheme === "https";
    const files = {
      [runRoot]: [`prefix: ${scratch}`, `exec_prefix: ${scratch}`, ...folders.map(([key, folder]) => `${key}: ${folder}`)].join("\n"),
      [join(errorPages, ".body_factory_info")]: "",
      [join(scratch, "etc/records.config")]: fillTemplate("trafficserver-records.config", {
        PORT: port,
        SSL: secure ? ":ssl" : "",
        SCRATCH: scratch,
        MEMORY: memoryBytes,
      }),
      [join(scratch, "etc/remap.config")]: `map / ${originUrl}`,
      [join(scratch, "etc/storage.config")]: `${join(scratch, "cache")} ${Math.ceil(diskBytes / 2 ** 20)}M`,
      [join(scratch, "etc/plugin.config")]: "",
      [join(scratch, "etc/ip_allow.yaml")]: "ip_allow:\n  - { apply: in, ip_addrs: 127.0.0.1, action: allow, methods: ALL }",
      [join(scratch, "etc/ssl_multicert.config")]: secure
        ? `dest_ip=* ssl_cert_name=${certificate.cert} ssl_key_name=${certificate.key}`
        : "",
    };
    for (const [path, text] of Object.entries(files)) await writeFile(path, `${text}\n`);
    const server = await startServer({
      name: "Traffic Server",
      command: "traffic_server",
      arguments: [`--run-root=${runRoot}`],
      cores,
      ready: () => portAnswers(port),
    });
    return { ...server, baseUrl: `${scheme}://127.0.0.1:${port}/` };
  },
};
