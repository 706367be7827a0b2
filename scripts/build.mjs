// Compiles the TypeScript of every room into dist/, and drops compiled files whose source is gone.
import { existsSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { packageRoot, run } from "./run.mjs";

/** Rejects when a type error or a missing tool stops the build. */
export async function build() {
  await Promise.all([run("tsc", ["-p", "tsconfig.json"]), run("tsc", ["-p", "web/tsconfig.json"])]);
  dropOrphans(join(packageRoot, "dist"), packageRoot);
}

function dropOrphans(compiled, source) {
  for (const entry of readdirSync(compiled, { withFileTypes: true })) {
    const path = join(compiled, entry.name);
    if (entry.isDirectory()) {
      if (existsSync(join(source, entry.name))) dropOrphans(path, join(source, entry.name));
      else rmSync(path, { recursive: true });
    } else if (/\.js(\.map)?$/.test(entry.name)) {
      const stem = entry.name.replace(/\.js(\.map)?$/, "");
      if (!existsSync(join(source, `${stem}.ts`))) rmSync(path);
    }
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    await build();
  } catch (error) {
    console.error(error.message);
    process.exit(1);
  }
}
