// Reads a file that `millrace bench` wrote, whatever it measured.
import { readFileSync } from "node:fs";
import { messageOf, OperatingError } from "../../runtime/operating-error.js";
import { benchResultSchema } from "./bench-result.js";
import type { AnyResult } from "./html-report.js";

/** @throws OperatingError "bad-result". */
export function readAnyResult(path: string): AnyResult {
  const fail = (reason: string, cause?: unknown) =>
    new OperatingError("bad-result", `Cannot read result ${path}: ${reason}`, { source: path, cause });
  let value: Partial<AnyResult> | null;
  try {
    value = JSON.parse(readFileSync(path, "utf8")) as Partial<AnyResult> | null;
  } catch (error) {
    throw fail(messageOf(error), error);
  }
  if (value?.tool !== "millrace bench" || value.kind === undefined) throw fail("it is no result of `millrace bench --json`");
  if (value.schema !== benchResultSchema) throw fail(`it has schema ${value.schema}, this program reads ${benchResultSchema}`);
  return value as AnyResult;
}
