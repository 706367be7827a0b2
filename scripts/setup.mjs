// Makes a fresh clone ready: installs the packages when they are missing or stale, then builds what has changed.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const packageRoot = fileURLToPath(new URL("..", import.meta.url));

const [major, minor] = process.versions.node.split(".").map(Number);
if (major < 20 || (major === 20 && minor < 19) || major > 22) {
  console.error(
    `Cannot run on Node ${process.versions.node}: Millrace needs Node 20 (from 20.19), 21 or 22, the versions its HTTP engine is built for.`,
  );
  process.exit(1);
}

const lockDigest = createHash("sha256")
  .update(readFileSync(join(packageRoot, "package-lock.json")))
  .digest("hex");
const stampFile = join(packageRoot, "node_modules", ".millrace-lock");
const installed = existsSync(stampFile) ? readFileSync(stampFile, "utf8") : "";
if (installed !== lockDigest) {
  console.error("Installing packages (npm ci) …");
  const npm = spawnSync("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"], {
    cwd: packageRoot,
    stdio: ["ignore", "ignore", "inherit"],
    // Not the settings of the npm that runs us: a nested npm would read them as its own.
    env: Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("npm_") || name.startsWith("npm_config_"))),
  });
  if (npm.status !== 0) {
    console.error(`Cannot install the packages: npm ci ended with ${npm.error?.message ?? npm.signal ?? `code ${npm.status}`}`);
    process.exit(1);
  }
  writeFileSync(stampFile, lockDigest);
}

const { build } = await import("./build.mjs");
await build();
