// Puts a title into an origin's folder such that it changes from the old version to the new one in one step.
//
// <origin>/clock                          → .millrace/titles/clock/current/files     (links, made once)
// <origin>/.millrace/digests/clock        → ../titles/clock/current/digests
// <origin>/.millrace/titles/clock/current → v-4711-3f9ac01b7e22                     (the one link that changes)
// <origin>/.millrace/titles/clock/v-4711-3f9ac01b7e22/files/…  digests/…
//
// 1. A new version is written beside the current one, files and digests, and synced to disk.
// 2. A link to it is made under another name, renamed onto `current`, and the folder is synced: rename(2) is atomic.
// 3. The old version is removed. Who has its files open reads them to the end.
// A kill before 2 leaves the old version, a kill after it the new one; either has digests that fit its bytes. What a kill left behind
// bears the number of a process that is gone, and the next ingest of the title removes it.
import { createHash, randomBytes, type Hash } from "node:crypto";
import { createReadStream } from "node:fs";
import { lstat, mkdir, open, readdir, readFile, readlink, rename, rm, rmdir, stat, symlink } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import {
  digestsPathOf,
  digestsPrefix,
  encodeObjectDigests,
  makeObjectDigests,
  parseObjectDigests,
} from "../../fill-protocol/object-digests.js";
import { errnoOf, OperatingError } from "../../runtime/operating-error.js";

/** 32 MB of digests: more than any tier should have to hold for one object. */
const maxChunksPerObject = 1_000_000;
const readBytes = 512 * 1024;

export interface StoredObject {
  /** In the origin: "<title-id>/<path in the package>". */
  path: string;
  sizeBytes: number;
  chunkBytes: number;
  chunks: number;
  etag: string;
}

export interface StoreFileOptions {
  /** Where the bytes are now. */
  source: string;
  /** Its path in the package. */
  path: string;
  chunkBytes: number;
  /** Called with the bytes of each piece stored. */
  onBytes: (bytes: number) => void;
  signal: AbortSignal;
}

/** One version of a title while it is being written. Ends with `commit` or `discard`. */
export class OriginTitle {
  readonly objects: StoredObject[] = [];

  private constructor(
    private readonly origin: string,
    private readonly titleId: string,
    /** …/.millrace/titles/<title-id> */
    private readonly home: string,
    /** The new version. */
    private readonly version: string,
  ) {}

  /** @throws OperatingError "title-in-the-way" when the origin has files under that id that ingest did not put there. */
  static async open(origin: string, titleId: string): Promise<OriginTitle> {
    const place = join(origin, titleId);
    const isThere = await lstat(place).catch(() => undefined);
    if (isThere && (await readlink(place).catch(() => undefined)) !== filesLink(titleId))
      throw new OperatingError(
        "title-in-the-way",
        `Cannot ingest as "${titleId}": ${place} is there and was not made by ingest; move it away, or choose another --title-id`,
      );
    const home = join(origin, ".millrace/titles", titleId);
    await mkdir(home, { recursive: true });
    await removeVersions(home, (owner) => !isRunning(owner));
    // Not mkdtemp(), whose folders are for their owner alone: a web server reads these as another user.
    const version = join(home, `v-${process.pid}-${randomBytes(6).toString("hex")}`);
    await mkdir(version);
    return new OriginTitle(origin, titleId, home, version);
  }

  /** A folder on the origin's disk that goes away with this version; for packaging. */
  async workFolder(): Promise<string> {
    const folder = join(this.version, "work");
    await mkdir(folder, { recursive: true });
    return folder;
  }

  /** Copies one file and its digests into the new version, in one reading; both are on disk when this resolves. */
  async storeFile({ source, path, chunkBytes, onBytes, signal }: StoreFileOptions): Promise<void> {
    const { size, mtime } = await stat(source);
    if (Math.ceil(size / chunkBytes) > maxChunksPerObject)
      throw new OperatingError(
        "chunk-too-small",
        `Cannot make digests of ${path}: ${size} bytes in chunks of ${chunkBytes} are more than ${maxChunksPerObject} chunks; choose a larger --chunk`,
      );
    const target = join(this.version, "files", path);
    await mkdir(dirname(target), { recursive: true });
    const digester = new ChunkDigester(chunkBytes);
    let sizeBytes = 0;
    const file = await open(target, "wx");
    try {
      for await (const piece of createReadStream(source, { highWaterMark: readBytes, signal }) as AsyncIterable<Buffer>) {
        digester.update(piece);
        await file.writeFile(piece);
        sizeBytes += piece.length;
        onBytes(piece.length);
      }
      // The time of the source, so that the same package gives the same Last-Modified wherever and whenever it is ingested.
      await file.utimes(mtime, mtime);
      await file.sync();
    } finally {
      await file.close();
    }
    if (sizeBytes !== size)
      throw new OperatingError(
        "source-changed",
        `Cannot ingest ${source}: it changed from ${size} to ${sizeBytes} bytes while it was read`,
      );
    const name = `${this.titleId}/${path}`;
    const digests = makeObjectDigests({
      path: name,
      sizeBytes,
      chunkBytes,
      chunkDigests: digester.finish(),
      lastModifiedUnixMs: mtime.getTime(),
    });
    const digestsFile = join(this.version, "digests", path);
    await mkdir(dirname(digestsFile), { recursive: true });
    await writeSynced(digestsFile, encodeObjectDigests(digests));
    this.objects.push({ path: name, sizeBytes, chunkBytes, chunks: Math.ceil(sizeBytes / chunkBytes), etag: digests.etag });
  }

  /**
   * Makes the new version the title's. Resolves to false, and leaves the origin as it was, when the current version has the same bytes and
   * chunks already.
   */
  async commit(): Promise<boolean> {
    await rm(join(this.version, "work"), { recursive: true, force: true });
    if (await this.isCurrent()) {
      await this.discard();
      return false;
    }
    await syncFolders(this.version);
    await mkdir(join(this.origin, digestsPrefix), { recursive: true });
    await ensureLink(join(this.origin, digestsPathOf(this.titleId)), `../titles/${this.titleId}/current/digests`);
    await ensureLink(join(this.origin, this.titleId), filesLink(this.titleId));
    const next = `${this.version}.link`;
    await symlink(basename(this.version), next);
    await rename(next, join(this.home, "current"));
    for (const folder of [
      this.home,
      join(this.origin, digestsPrefix),
      join(this.origin, ".millrace/titles"),
      join(this.origin, ".millrace"),
      this.origin,
    ])
      await syncFolder(folder);
    const current = await readlink(join(this.home, "current"));
    await removeVersions(this.home, (owner, name) => name !== current && (owner === process.pid || !isRunning(owner)));
    return true;
  }

  /** Removes what was written; the title stays as it was. */
  async discard(): Promise<void> {
    await rm(this.version, { recursive: true, force: true });
    await rm(`${this.version}.link`, { force: true });
    // Of a title that never came to be, nothing stays: both fail when there is something inside.
    await removeEmptyFolder(this.home);
    await removeEmptyFolder(dirname(this.home));
    await removeEmptyFolder(join(this.origin, ".millrace"));
  }

  private async isCurrent(): Promise<boolean> {
    const current = join(this.home, "current");
    const stored = await readdir(join(current, "digests"), { recursive: true, withFileTypes: true }).catch(() => []);
    if (stored.filter((entry) => entry.isFile()).length !== this.objects.length) return false;
    for (const { path, sizeBytes, chunkBytes, etag } of this.objects) {
      const inTitle = path.slice(this.titleId.length + 1);
      const digests = await readFile(join(current, "digests", inTitle)).catch(() => undefined);
      const parsed = digests && parseObjectDigests(digests, path);
      const found = await stat(join(current, "files", inTitle)).catch(() => undefined);
      if (parsed?.etag !== etag || parsed.chunkBytes !== chunkBytes || found?.size !== sizeBytes) return false;
    }
    return true;
  }
}

/** SHA-256 of each chunk of a stream of pieces of any size; equal to `digestChunk` of each chunk, without holding one in memory. */
export class ChunkDigester {
  private readonly digests: Buffer[] = [];
  private hash: Hash = createHash("sha256");
  private filledBytes = 0;

  constructor(private readonly chunkBytes: number) {}

  update(piece: Uint8Array): void {
    for (let at = 0; at < piece.length;) {
      const part = piece.subarray(at, at + this.chunkBytes - this.filledBytes);
      this.hash.update(part);
      this.filledBytes += part.length;
      at += part.length;
      if (this.filledBytes === this.chunkBytes) this.closeChunk();
    }
  }

  /** The digests of all chunks, the last one shorter where the bytes ended inside of it. */
  finish(): Buffer[] {
    if (this.filledBytes > 0) this.closeChunk();
    return this.digests;
  }

  private closeChunk(): void {
    this.digests.push(this.hash.digest());
    this.hash = createHash("sha256");
    this.filledBytes = 0;
  }
}

/** Removes the versions in `home` of which `isWaste` says so; it is given the number of the process that made it. */
async function removeVersions(home: string, isWaste: (owner: number, name: string) => boolean): Promise<void> {
  const current = await readlink(join(home, "current")).catch(() => undefined);
  for (const name of await readdir(home)) {
    const owner = /^v-(\d+)-/.exec(name)?.[1];
    if (owner !== undefined && name !== current && isWaste(Number(owner), name))
      await rm(join(home, name), { recursive: true, force: true });
  }
}

function isRunning(processId: number): boolean {
  try {
    process.kill(processId, 0);
    return true;
  } catch (error) {
    return errnoOf(error) === "EPERM";
  }
}

/** What <origin>/<title-id> points to. */
function filesLink(titleId: string): string {
  return `.millrace/titles/${titleId}/current/files`;
}

async function ensureLink(path: string, target: string): Promise<void> {
  try {
    await symlink(target, path);
  } catch (error) {
    if (errnoOf(error) !== "EEXIST" || (await readlink(path).catch(() => undefined)) !== target) throw error;
  }
}

async function writeSynced(path: string, bytes: Buffer): Promise<void> {
  const file = await open(path, "wx");
  try {
    await file.writeFile(bytes);
    await file.sync();
  } finally {
    await file.close();
  }
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Syncs `folder` and every folder in it: the names of new files are on disk only when their folder is. */
async function syncFolders(folder: string): Promise<void> {
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true }))
    if (entry.isDirectory()) await syncFolder(join(entry.parentPath, entry.name));
  await syncFolder(folder);
}

async function removeEmptyFolder(folder: string): Promise<void> {
  await rmdir(folder).catch(() => undefined);
}
