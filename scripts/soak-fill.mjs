// The part of `npm run soak` about fill: a cluster of eight through 24 kills, and a manifest of a million entries.
import { run } from "./run.mjs";

const test = (name) => run(process.execPath, ["--test", "--test-reporter=spec", `dist/tests/${name}.test.js`]);

process.env.MILLRACE_SOAK = "1";
process.env.MILLRACE_MANIFEST_ENTRIES = "1000000";
await test("40-cold-cluster");
await test("22-large-manifest");
