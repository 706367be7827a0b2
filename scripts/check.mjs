// `npm run check`: everything that can be said of the tree in seconds. Format, lint and import rules, types, protocol, dead files, quick unit tests
// (`-- --no-unit-tests` for who runs them anyway).
import { capture } from "./run.mjs";

const checks = [
  { name: "types", command: "node", args: ["scripts/build.mjs"] },
  { name: "format", command: "oxfmt", args: ["--check", "."] },
  { name: "lint and imports", command: "oxlint", args: ["--deny-warnings"] },
  { name: "protocol", command: "buf", args: ["lint"] },
  { name: "dead files", command: "knip", args: ["--no-progress"] },
  { name: "unit tests", command: "node", args: ["scripts/run-tests.mjs", "--unit", "--quick"] },
];

if (process.argv.includes("--no-unit-tests")) checks.pop();

let failed = 0;
for (const { name, command, args } of checks) {
  const started = performance.now();
  const { code, output } = await capture(command, args);
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  console.log(`${code === 0 ? "ok    " : "FAILED"} ${name.padEnd(18)} ${seconds.padStart(5)} s`);
  if (code !== 0) {
    failed++;
    console.log(output.trimEnd());
  }
}
console.log(`${checks.length - failed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
