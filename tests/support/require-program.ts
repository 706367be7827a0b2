// What a test does when a program that it needs is not on this machine: skip, or fail where a skip would hide something.
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import type { TestContext } from "node:test";

/**
 * Whether `name` is on the PATH. Where it is not, `t` is skipped; under MILLRACE_TESTS_STRICT (npm test -- --strict) the test fails instead.
 * The caller returns when this is false.
 */
export function requireProgram(t: TestContext, name: string): boolean {
  for (const folder of (process.env.PATH ?? "").split(delimiter)) {
    try {
      accessSync(join(folder, name), constants.X_OK);
      return true;
    } catch {
      // Not in this one.
    }
  }
  if (process.env.MILLRACE_TESTS_STRICT) throw new Error(`This test needs ${name}, which is not installed`);
  t.skip(`${name} is not installed`);
  return false;
}
