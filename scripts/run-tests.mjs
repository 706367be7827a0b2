// `npm test`: the unit tests beside the sources, then the whole-system tests in tests/.
import { mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { parseArgs } from "node:util";
import { packageRoot, run } from "./run.mjs";

const usage = `usage: npm test -- [--unit [--quick] | --system] [--only TEXT] [--strict]

  --unit       only the unit tests beside the sources (a minute or two)
  --quick      of these all but *.slow.test.ts, on SQLite and in memory only, many files in one process (seconds)
  --system     only the whole-system tests in tests/ (minutes)
  --only TEXT  only test files whose path contains TEXT
  --strict     a test that would skip because a program is missing (ffmpeg, chromium, …) fails instead`;

let options;
try {
  options = parseArgs({
    options: {
      unit: { type: "boolean" },
      quick: { type: "boolean" },
      system: { type: "boolean" },
      only: { type: "string" },
      strict: { type: "boolean" },
      help: { type: "boolean" },
    },
  }).values;
} catch (error) {
  console.error(`${error.message}\n${usage}`);
  process.exit(2);
}
if (options.help) {
  console.log(usage);
  process.exit(0);
}

const compiled = join(packageRoot, "dist");
const all = readdirSync(compiled, { recursive: true })
  .filter((name) => name.endsWith(".test.js"))
  .filter((name) => !options.only || name.includes(options.only))
  .sort();
const system = all.filter((name) => name.startsWith("tests/"));
const unit = options.quick
  ? gathered(all.filter((name) => !name.startsWith("tests/") && !name.endsWith(".slow.test.js")))
  : all.filter((name) => !name.startsWith("tests/"));
const rounds = [];
// Unit tests may share the processor; a whole-system test has the machine for itself.
if (!options.system) rounds.push({ files: unit, concurrency: 2 });
if (!options.unit && !options.quick) rounds.push({ files: system, concurrency: 1 });
if (rounds.every((round) => round.files.length === 0)) {
  console.error(`Cannot test: no test file${options.only ? ` contains "${options.only}"` : ""}`);
  process.exit(2);
}

if (options.quick) process.env.MILLRACE_TESTS_QUICK = "1";
if (options.strict) process.env.MILLRACE_TESTS_STRICT = "1";
for (const { files, concurrency } of rounds) {
  if (files.length === 0) continue;
  try {
    await run(process.execPath, [
      "--enable-source-maps",
      "--test",
      `--test-concurrency=${concurrency}`,
      "--test-reporter=spec",
      ...files.map((name) => relative(packageRoot, join(compiled, name))),
    ]);
  } catch {
    process.exit(1);
  }
}

/** Test files that import many others: most of a small file's time is the start of its process. */
function gathered(names) {
  const folder = join(compiled, ".quick-tests");
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder);
  const processes = Math.min(8, names.length);
  return Array.from({ length: processes }, (_, at) => {
    const mine = names.filter((_name, place) => place % processes === at);
    writeFileSync(join(folder, `${at}.test.mjs`), mine.map((name) => `await import("../${name}");\n`).join(""));
    return join(".quick-tests", `${at}.test.mjs`);
  });
}
