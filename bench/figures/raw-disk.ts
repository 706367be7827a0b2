// How fast the disk itself reads and writes, measured by a program of its own in the same minute as the appliance.
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { messageOf, OperatingError } from "../../runtime/operating-error.js";

const run = promisify(execFile);
const program = fileURLToPath(new URL("raw-disk-program.js", import.meta.url));

/** Bytes per second of random direct reads of `pieceBytes` at multiples of `strideBytes` in `path`, `depth` of them at a time. */
export function rawReadRate(
  path: string,
  options: { pieceBytes: number; strideBytes: number; depth: number; seconds: number },
): Promise<number> {
  const { pieceBytes, strideBytes, depth, seconds } = options;
  return rateOf(["read", path, pieceBytes, strideBytes, depth, seconds], depth);
}

/** Bytes per second of `count` pieces written into a new file `path` one after another, with fdatasync after every `piecesPerSync`. */
export function rawWriteRate(
  path: string,
  options: { pieceBytes: number; count: number; depth: number; piecesPerSync: number },
): Promise<number> {
  const { pieceBytes, count, depth, piecesPerSync } = options;
  return rateOf(["write", path, pieceBytes, count, depth, piecesPerSync], depth);
}

async function rateOf(typed: readonly (string | number)[], depth: number): Promise<number> {
  try {
    const { stdout } = await run(process.execPath, [program, ...typed.map(String)], {
      env: { ...process.env, UV_THREADPOOL_SIZE: String(Math.max(4, depth)) },
    });
    const { bytes, seconds } = JSON.parse(stdout) as { bytes: number; seconds: number };
    return bytes / seconds;
  } catch (error) {
    throw new OperatingError("no-raw-rate", `Cannot measure the disk itself: ${messageOf(error)}`, { cause: error });
  }
}
