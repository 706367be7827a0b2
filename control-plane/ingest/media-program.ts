// Runs ffmpeg and ffprobe, and says in a person's words what stopped them.
import { spawn } from "node:child_process";
import { errnoOf, OperatingError } from "../../runtime/operating-error.js";

/** ffprobe's answer about one file is a few kilobytes; ffmpeg reports 200 bytes a second, which are read as they come. */
const maxOutputBytes = 2 ** 20;
const keptErrorLines = 3;

export interface MediaRunOptions {
  /** "package FILE": the message of a failure begins with "Cannot " and this. */
  purpose: string;
  signal: AbortSignal;
  /** Called with each line of standard output; without it the output is kept and returned. */
  onLine?: (line: string) => void;
}

/** @throws OperatingError "ffmpeg-missing", "ffmpeg-failed"; an AbortError when the signal was raised. */
export function runMediaProgram(program: "ffmpeg" | "ffprobe", args: readonly string[], options: MediaRunOptions): Promise<string> {
  const { purpose, signal, onLine } = options;
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"], signal });
    let output = "";
    let errors = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      output += text;
      if (onLine) {
        const lines = output.split("\n");
        output = lines.pop() ?? "";
        for (const line of lines) onLine(line);
      } else if (output.length > maxOutputBytes) child.kill();
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      errors = (errors + text).slice(-8192);
    });
    let failure: Error | undefined;
    child.on("error", (error) => {
      failure =
        errnoOf(error) === "ENOENT"
          ? new OperatingError("ffmpeg-missing", `Cannot ${purpose}: ${program} is not installed (Debian: apt-get install ffmpeg)`)
          : error;
      // A program that never started does not close.
      if (child.pid === undefined) reject(failure);
    });
    child.on("close", (code, by) => {
      if (failure) reject(failure);
      else if (code === 0) resolve(output);
      else
        reject(
          new OperatingError("ffmpeg-failed", `Cannot ${purpose}: ${reasonOf(errors) || `${program} ended with ${by ?? `code ${code}`}`}`),
        );
    });
  });
}

/** The last lines of what the program complained about, without its "[h264 @ 0x55…]" prefixes. */
function reasonOf(errors: string): string {
  const lines = errors
    .split("\n")
    .map((line) => line.replace(/^(\[[^\]]*\]\s*)+/, "").trim())
    .filter((line) => line !== "" && line !== "Conversion failed!");
  return [...new Set(lines)].slice(-keptErrorLines).join("; ");
}
