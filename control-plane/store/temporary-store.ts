// A database file for one test.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openStore, type Store } from "./database.js";

/** Calls `use` with a fresh store in a folder of its own, and removes both whatever happens. */
export async function withTemporaryStore(use: (store: Store, url: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "millrace-store-"));
  const url = `sqlite:${join(folder, "deeper", "control-plane.db")}`;
  const store = await openStore(url);
  try {
    await use(store, url);
  } finally {
    await store.destroy();
    rmSync(folder, { recursive: true });
  }
}
