// Takes a server's files out of Linux's page cache, so that a cold workload reads from disk and not from memory.
import { spawn } from "node:child_process";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { messageOf, OperatingError } from "../../runtime/operating-error.js";

/** What is read in this time can be had from memory until then: a small part of a set that is much larger. */
const dropEveryMs = 500;
/** Each costs a dd of about a millisecond. */
const filesMax = 10_000;
/** Names on one command line. */
const batchFiles = 1000;

/**
 * Drops the pages of every file below `folders` now, and again twice a second until `stop()`. What was written is brought to disk first:
 * pages that are not there yet can't be dropped. @throws OperatingError "cannot-drop-cache".
 */
export async function keepOutOfPageCache(folders: readonly string[]): Promise<{ stop(): Promise<void> }> {
  const drop = async () => {
    const files = await filesBelow(folders);
    for (let at = 0; at < files.length; at += batchFiles) {
      // Reading nothing with "nocache" is how dd says posix_fadvise(DONTNEED) for a whole file; Node has no call for it.
      await shell(`for file do dd if="$file" iflag=nocache count=0 status=none || exit 1; done`, files.slice(at, at + batchFiles));
    }
  };
  try {
    await shell(`sync -d "$@"`, await filesBelow(folders));
    await drop();
  } catch (error) {
    if (error instanceof OperatingError) throw error;
    throw new OperatingError("cannot-drop-cache", `Cannot drop the page cache of ${folders.join(", ")}: ${messageOf(error)}`, {
      cause: error,
    });
  }
  const stopping = new AbortController();
  const { signal } = stopping;
  const loop = (async () => {
    while (await setTimeout(dropEveryMs, true, { signal }).catch(() => false)) {
      // A server may take files away between the listing and the look; how much came from disk is in the result.
      await drop().catch(() => {});
    }
  })();
  return {
    stop: async () => {
      stopping.abort();
      await loop;
    },
  };
}

async function filesBelow(folders: readonly string[]): Promise<string[]> {
  const files: string[] = [];
  for (const folder of folders) {
    for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
      if (entry.isFile()) files.push(join(entry.parentPath, entry.name));
    }
  }
  if (files.length === 0 || files.length > filesMax) {
    const found = files.length === 0 ? "there are no files" : `there are more than ${filesMax} files`;
    throw new OperatingError("cannot-drop-cache", `Cannot drop the page cache of ${folders.join(", ")}: ${found}`);
  }
  return files;
}

function shell(script: string, files: readonly string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn("sh", ["-c", script, "sh", ...files], { stdio: ["ignore", "ignore", "pipe"] });
    let said = "";
    child.stderr.on("data", (chunk: Buffer) => (said += chunk.toString()));
    child.once("error", reject);
    child.once("close", (code) => (code === 0 ? resolve() : reject(new Error(said.trim().slice(0, 200) || `sh ended with ${code}`))));
  });
}
