#!/usr/bin/env node
// The `millrace` program: starts the compiled command line, or says how to compile it.
//
// This file is CommonJS, the only one: Node reads ES modules with threads of the pool that also reads the disks, and that pool has the size that
// it has when the first of its threads starts. In here none has started yet. (4 threads, the default, are four reads of a disk that hangs.)
const { existsSync } = require("node:fs");
const { join } = require("node:path");
const { pathToFileURL } = require("node:url");

/** Threads cost some KiB each while they have nothing to do; appliance/disk/io-threads.ts says how they are shared out. */
const applianceIoThreads = "256";

const compiled = join(__dirname, "../dist/cli/main.js");
if (!existsSync(compiled)) {
  console.error("Cannot start: Millrace is not built yet. Run `npm run setup` in its folder first.");
  process.exit(1);
}
if (process.argv[2] === "appliance") process.env.UV_THREADPOOL_SIZE ??= applianceIoThreads;
process.setSourceMapsEnabled(true);
void import(pathToFileURL(compiled).href).then(({ runCommandLine }) => runCommandLine(process.argv));
