// Runs one program of node_modules/.bin or of the PATH, with its output on ours or captured.
import { spawn } from "node:child_process";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";

export const packageRoot = fileURLToPath(new URL("..", import.meta.url));

const path = `${join(packageRoot, "node_modules/.bin")}${delimiter}${process.env.PATH}`;

/** Resolves when `command` ends with 0; otherwise rejects with what it was and how it ended. */
export function run(command, args) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd: packageRoot, env: { ...process.env, PATH: path }, stdio: "inherit" });
    child.on("error", reject);
    child.on("close", (code, signal) => {
      if (code === 0) resolve();
      else reject(new Error(`Cannot finish "${command} ${args.join(" ")}": it ended with ${signal ?? `code ${code}`}`));
    });
  });
}

/** Resolves to the exit code and everything that `command` printed. */
export function capture(command, args) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { cwd: packageRoot, env: { ...process.env, PATH: path }, stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    child.stdout.on("data", (data) => (output += data));
    child.stderr.on("data", (data) => (output += data));
    child.on("error", (error) => resolve({ code: 127, output: error.message }));
    child.on("close", (code) => resolve({ code: code ?? 1, output }));
  });
}
