#!/usr/bin/env node
// The `millrace` program: starts the compiled command line, or says how to compile it.
import { existsSync } from "node:fs";

const compiled = new URL("../dist/cli/main.js", import.meta.url);
if (!existsSync(compiled)) {
  console.error("Cannot start: Millrace is not built yet. Run `npm run setup` in its folder first.");
  process.exit(1);
}
process.setSourceMapsEnabled(true);
const { runCommandLine } = await import(compiled.href);
await runCommandLine(process.argv);
