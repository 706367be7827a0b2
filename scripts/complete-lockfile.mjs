// Adds to package-lock.json the optional platform packages that the registry at hand did not know when the lock was made: run it after
// every `npm install`. Why: docs/decisions/0002-lockfile.md.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { packageRoot } from "./run.mjs";

const systems = { android: "android", darwin: "darwin", freebsd: "freebsd", linux: "linux", openharmony: "openharmony", win32: "win32" };
const processors = {
  arm64: "arm64",
  aarch64: "arm64",
  armv7: "arm",
  arm: "arm",
  ia32: "ia32",
  ppc64: "ppc64",
  riscv64: "riscv64",
  s390x: "s390x",
  x64: "x64",
};

const file = join(packageRoot, "package-lock.json");
const lock = JSON.parse(readFileSync(file, "utf8"));
const added = [];
for (const [home, entry] of Object.entries(lock.packages)) {
  for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
    const place = `node_modules/${name}`;
    if (lock.packages[place] || lock.packages[`${home}/${place}`]) continue;
    const words = name.split("/").at(-1).split("-");
    const os = words.map((word) => systems[word]).find(Boolean);
    const cpu = words.map((word) => processors[word]?.replace(/eabi.*/, "")).find(Boolean);
    // Only a package that names its platform can be left out of an install on every other one.
    if (!os || !cpu || !/^\d+\.\d+\.\d+/.test(version))
      throw new Error(`Cannot complete the lock: what platform is ${name}@${version} of ${home} for?`);
    const libc = os === "linux" ? words.find((word) => /^(gnu|musl)/.test(word))?.slice(0, 4) : undefined;
    lock.packages[place] = {
      version,
      cpu: [cpu],
      ...(entry.dev ? { dev: true } : {}),
      ...(libc ? { libc: [libc.startsWith("musl") ? "musl" : "glibc"] } : {}),
      optional: true,
      os: [os],
    };
    added.push(`${name}@${version}`);
  }
}
const [self, ...others] = Object.entries(lock.packages);
lock.packages = Object.fromEntries([self, ...others.sort(([a], [b]) => (a < b ? -1 : 1))]);
writeFileSync(file, `${JSON.stringify(lock, null, 2)}\n`);
console.log(added.length === 0 ? "The lock is complete." : `Added to the lock: ${added.join(", ")}`);
