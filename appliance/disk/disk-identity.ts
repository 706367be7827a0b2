// What a disk says of itself: the `disk.json` in the folder that an appliance was given.
import { randomUUID } from "node:crypto";
import { closeSync, fsyncSync, openSync, readdirSync, readFileSync, renameSync, statSync, writeSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { errnoOf, messageOf, OperatingError } from "../../runtime/operating-error.js";
import { diskFormatVersion } from "./slot-header.js";

const identitySchema = z.strictObject({ uuid: z.uuid(), formatVersion: z.number().int(), chunkBytes: z.number().int().positive() });

export type DiskIdentity = z.infer<typeof identitySchema>;

export function identityPathOf(diskPath: string): string {
  return join(diskPath, "disk.json");
}

/** What is to be found at a disk's path. */
export type DiskFinding = { state: "ready"; identity: DiskIdentity } | { state: "missing"; reason: string };

/**
 * Reads the identity of the disk at `path`. An empty folder is given one, unless this is only a look: then it counts as missing.
 *
 * @throws OperatingError "disk-refused" when something lies there that is not a disk of this format and chunk size: it might be
 * somebody's data.
 */
export function readDiskIdentity(path: string, chunkBytes: number, { looksOnly = false } = {}): DiskFinding {
  const refuse = (reason: string): never => {
    throw new OperatingError("disk-refused", `Cannot use disk ${path}: ${reason}`, { source: path });
  };
  try {
    if (!statSync(path).isDirectory()) refuse("it is not a folder");
  } catch (error) {
    if (error instanceof OperatingError) throw error;
    return { state: "missing", reason: messageOf(error) };
  }
  const file = identityPathOf(path);
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    if (errnoOf(error) !== "ENOENT") return { state: "missing", reason: messageOf(error) };
    const strangers = readdirSync(path).filter((name) => name !== "lost+found" && name !== "disk.json.new");
    if (strangers.length > 0) refuse(`it has no disk.json but holds ${strangers.slice(0, 3).join(", ")}`);
    if (looksOnly) return { state: "missing", reason: "it is empty: no appliance has used it yet, or its file system is not mounted" };
    return { state: "ready", identity: createIdentity(path, chunkBytes) };
  }
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return refuse("its disk.json is not JSON");
  }
  const parsed = identitySchema.safeParse(json);
  if (!parsed.success) return refuse(`its disk.json is not one of ours: ${z.prettifyError(parsed.error)}`);
  const identity = parsed.data;
  if (identity.formatVersion !== diskFormatVersion) {
    return refuse(
      `it is of format ${identity.formatVersion}, and this appliance has format ${diskFormatVersion}; ` +
        "empty the folder to use it: its chunks are fetched again",
    );
  }
  if (identity.chunkBytes !== chunkBytes)
    return refuse(`its chunks have ${identity.chunkBytes} bytes, and this appliance is set to ${chunkBytes}`);
  return { state: "ready", identity };
}

function createIdentity(path: string, chunkBytes: number): DiskIdentity {
  const identity: DiskIdentity = { uuid: randomUUID(), formatVersion: diskFormatVersion, chunkBytes };
  const file = identityPathOf(path);
  try {
    const handle = openSync(`${file}.new`, "w", 0o644);
    writeSync(handle, `${JSON.stringify(identity, null, 2)}\n`);
    fsyncSync(handle);
    closeSync(handle);
    renameSync(`${file}.new`, file);
  } catch (error) {
    throw new OperatingError("disk-refused", `Cannot write to disk ${path}: ${messageOf(error)}`, { source: path, cause: error });
  }
  return identity;
}
