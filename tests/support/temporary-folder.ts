// A folder for one test, gone when the test ends.
import { mkdtempSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** An empty folder below the system's temporary one. */
export function temporaryFolder(t: { after: (cleanUp: () => void) => void }): string {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), "millrace-test-")));
  t.after(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));
  return folder;
}
