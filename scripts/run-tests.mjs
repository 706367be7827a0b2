// `npm test`: the unit tests beside the sources, then the whole-system tests in tests/.
import { mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { parseArgs } from "node:util";
import { packageRoot, run } from "./run.mjs";

const usage = `usage: npm test -- [--unit [--quick] | --system] [--only TEXT] [--strict] [--again]

  --unit       only the unit tests beside the sources (a minute or two)
  --quick      of these all but *.slow.test.ts, on SQLite and in memory only, many files in one process (seconds)
  --system     only the whole-system tests in tests/ (minutes)
  --only TEXT  only test files whose path contains TEXT
  --strict     a test that would skip because a program is missing (ffmpeg, chromium, …) fails instead
  --again      what fails is run once more (the unit tests, or one file of the others), four times at most, and named at the end`;

let options;
try {
  options = parseArgs({
    options: {
      unit: { type: "boolean" },
      quick: { type: "boolean" },
      system: { type: "boolean" },
      only: { type: "string" },
      strict: { type: "boolean" },
      again: { type: "boolean" },
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
const groups = [
  ...(options.system || unit.length === 0 ? [] : [unit]),
  ...(options.unit || options.quick ? [] : system.map((name) => [name])),
];
if (groups.length === 0) {
  console.error(`Cannot test: no test file${options.only ? ` contains "${options.only}"` : ""}`);
  process.exit(2);
}

if (options.quick) process.env.MILLRACE_TESTS_QUICK = "1";
if (options.strict) process.env.MILLRACE_TESTS_STRICT = "1";
const runsAgainMax = 4;
const [again, failed] = [[], []];
for (const files of groups) {
  if (await passes(files)) continue;
  const what = files.length === 1 ? files[0] : "the unit tests";
  if (options.again && again.length < runsAgainMax) {
    console.log(`\nOnce more: ${what}\n`);
    again.push(what);
    if (await passes(files)) continue;
  }
  failed.push(what);
}
if (again.length > 0) console.log(`\nRun once more: ${again.join(", ")}`);
if (failed.length > 0) {
  console.log(`\nFailed: ${failed.join(", ")}`);
  process.exit(1);
}

/** Unit tests may share the processor, the quick ones mostly wait; a whole-system test has the machine for itself. */
async function passes(files) {
  try {
    await run(process.execPath, [
      "--enable-source-maps",
      "--test",
      `--test-concurrency=${options.quick ? 4 : 2}`,
      "--test-reporter=spec",
      ...files.map((name) => relative(packageRoot, join(compiled, name))),
    ]);
    return true;
  } catch {
    return false;
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
