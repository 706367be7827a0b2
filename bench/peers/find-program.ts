// Says whether a program is installed, and which version.
import { spawn } from "node:child_process";

const answerTimeoutMs = 5000;

/** Runs `name` with `arguments` and takes the version from what it prints; `package` is what a person would install. */
export function findProgram(
  name: string,
  options: { arguments: readonly string[]; version: RegExp; package: string },
): Promise<{ version: string } | { missing: string }> {
  return new Promise((resolve) => {
    const child = spawn(name, [...options.arguments], { stdio: ["ignore", "pipe", "pipe"], timeout: answerTimeoutMs });
    let output = "";
    const keep = (chunk: Buffer) => (output += chunk.toString());
    child.stdout.on("data", keep);
    child.stderr.on("data", keep);
    child.once("error", () => resolve({ missing: `${name} is not installed (Debian package: ${options.package})` }));
    child.once("close", () => {
      const version = options.version.exec(output)?.[0];
      resolve(version === undefined ? { missing: `${name} does not say its version: ${output.slice(0, 200)}` } : { version });
    });
  });
}
