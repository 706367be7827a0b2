// Can the time of an answer tell an unknown mail address from a wrong password? Asks a real control plane many times, in random order, and compares.
//
//   node scripts/login-timing.mjs [--samples 400] [--database URL]
import { execFileSync, fork } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { pathToFileURL } from "node:url";
import { packageRoot } from "./run.mjs";

/** Of each kind. The lockout of the settings below ends after a thousand. */
const samplesMax = 900;
const warmUps = 20;

const { values } = parseArgs({ options: { samples: { type: "string", default: "400" }, database: { type: "string" } } });
const samples = Math.min(samplesMax, Number(values.samples));
const folder = mkdtempSync(join(tmpdir(), "millrace-timing-"));
const config = join(folder, "control-plane.yaml");
const program = join(packageRoot, "cli/millrace.cjs");
// argon2id as it is by default.
writeFileSync(
  config,
  `listen: { port: 0 }
admin: { port: 0 }
database: ${JSON.stringify(values.database ?? `sqlite:${join(folder, "a.db")}`)}
login:
  lockout: { failuresMax: 1000 }
  rates: { signInsPerAddress: 100000 }
  mail: { url: ${JSON.stringify(`files:${join(folder, "mail")}`)} }
`,
);
let controlPlane;
try {
  execFileSync(process.execPath, [program, "control-plane", "add-operator", "--config", config, "--email", "known@example.org"], {
    input: "the right password\n",
  });
  controlPlane = fork(program, ["control-plane", "--config", config], { stdio: ["ignore", "ignore", "inherit", "ipc"] });
  const { ready } = await new Promise((resolve, reject) => {
    controlPlane.once("message", resolve);
    controlPlane.once("exit", (code) => reject(new Error(`The control plane ended with ${code}`)));
  });
  const { ControlPlaneClient } = await import(pathToFileURL(join(packageRoot, "dist/control-plane/control-plane-client.js")).href);
  const client = new ControlPlaneClient(`grpc://127.0.0.1:${ready.grpcPort}`, { deadlineMs: 10_000 });
  const signInMs = async (email) => {
    const startedAtMs = performance.now();
    const code = await client
      .signIn({ email, password: "a wrong password", deviceId: "", deviceName: "", replaceOldestDevice: false })
      .then(
        () => "answered",
        (error) => error.code,
      );
    if (code !== "credentials-wrong") throw new Error(`Expected credentials-wrong: ${code}`);
    return performance.now() - startedAtMs;
  };
  for (let number = 0; number < warmUps; number++) await signInMs(number % 2 ? "known@example.org" : "unknown@example.org");
  const timesMs = { known: [], unknown: [] };
  const order = Array.from({ length: 2 * samples }, (_, number) => (number % 2 ? "known" : "unknown"));
  for (let at = order.length - 1; at > 0; at--) {
    const other = Math.floor(Math.random() * (at + 1));
    [order[at], order[other]] = [order[other], order[at]];
  }
  for (const kind of order) timesMs[kind].push(await signInMs(`${kind}@example.org`));
  client.close();
  const half = (list, rest) => list.filter((_, number) => number % 2 === rest);
  const answer = {
    samplesOfEach: samples,
    medianMs: { known: median(timesMs.known), unknown: median(timesMs.unknown) },
    // Below 3 in either direction chance explains the difference.
    mannWhitneyZ: mannWhitneyZ(timesMs.known, timesMs.unknown),
    // The same comparison of a thing with itself.
    mannWhitneyZOfKnownWithKnown: mannWhitneyZ(half(timesMs.known, 0), half(timesMs.known, 1)),
  };
  console.log(JSON.stringify(answer, null, 2));
  if (Math.abs(answer.mannWhitneyZ) >= 3) process.exitCode = 1;
} finally {
  controlPlane?.kill("SIGTERM");
  rmSync(folder, { recursive: true, force: true });
}

function median(list) {
  const sorted = list.toSorted((a, b) => a - b);
  return Number(((sorted[Math.floor((sorted.length - 1) / 2)] + sorted[Math.ceil((sorted.length - 1) / 2)]) / 2).toFixed(3));
}

/** Mann and Whitney 1947: how far the ranks of two samples lie apart, in standard deviations of chance. */
function mannWhitneyZ(a, b) {
  const all = [...a.map((value) => ({ value, ofA: true })), ...b.map((value) => ({ value, ofA: false }))].sort((x, y) => x.value - y.value);
  let rankSum = 0;
  for (const [position, { ofA }] of all.entries()) if (ofA) rankSum += position + 1;
  const u = rankSum - (a.length * (a.length + 1)) / 2;
  const mean = (a.length * b.length) / 2;
  const deviation = Math.sqrt((a.length * b.length * (a.length + b.length + 1)) / 12);
  return Number(((u - mean) / deviation).toFixed(2));
}
