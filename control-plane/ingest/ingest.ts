// Ingest: from a packaged folder or a video file to a title that the origin serves and the catalog knows.
import { mkdir, stat } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { errnoOf, messageOf, OperatingError } from "../../runtime/operating-error.js";
import { checkPackage, type CheckedPackage } from "./check-package.js";
import { OriginTitle, type StoredObject } from "./origin-title.js";
import { packageVideo } from "./package-video.js";
import { probeVideo } from "./probe-video.js";
import { connectCatalog } from "./publish-title.js";

export interface IngestOptions {
  /** A packaged folder or a video file. */
  path: string;
  /** Folder that an origin serves; made when missing. */
  origin: string;
  /** Lower-case letters, digits and dashes, 64 at most; from the path's last part when left out. */
  titleId?: string;
  /** For people; the path's last part when left out. */
  name?: string;
  chunkBytes: number;
  /** "grpc://host:port"; without it no catalog is told. */
  controlPlane?: string;
  /** Stops the work before the title is changed; the error is then the signal's reason. */
  signal: AbortSignal;
  /** "package" counts seconds of film, "store" bytes. */
  onProgress?: (stage: "package" | "store", done: number, total: number) => void;
}

export interface IngestedTitle {
  titleId: string;
  name: string;
  durationSeconds: number;
  /** Entry documents in the origin; empty where the title has none. */
  hlsPath: string;
  dashPath: string;
  sizeBytes: number;
  /** False when the origin had these bytes already. */
  changed: boolean;
  /** The catalog was told. */
  published: boolean;
  objects: StoredObject[];
  /** Files of the folder that no playlist names: left out. */
  unnamed: string[];
}

/**
 * Stores the title, then publishes it. A failure or a kill at any point leaves the title in the origin as it was, or as it will be; the same
 * call again then finishes the work.
 * @throws OperatingError of the checks, of ffmpeg, of the disk ("disk-full", "origin-unwritable") and of the catalog.
 */
export async function ingest(options: IngestOptions): Promise<IngestedTitle> {
  const { path, chunkBytes, signal, onProgress } = options;
  const origin = resolve(options.origin);
  const source = await stat(path).catch((error: unknown) => {
    throw new OperatingError(
      "source-unreadable",
      `Cannot ingest ${path}: ${errnoOf(error) === "ENOENT" ? "there is no such file or folder" : messageOf(error)}`,
    );
  });
  const plainName = basename(resolve(path)).replace(source.isDirectory() ? /$^/ : /\.[^.]+$/, "");
  const titleId = checkTitleId(options.titleId ?? titleIdFrom(plainName), options.titleId === undefined ? path : undefined);
  const name = options.name ?? plainName;

  // What can be wrong is found before anything is written: the package, the video, the control plane.
  const checked = source.isDirectory() ? await checkPackage(path) : undefined;
  if (!checked) await refuseUnpackable(path, source.isFile(), signal);
  const catalog = options.controlPlane === undefined ? undefined : await connectCatalog(options.controlPlane);
  try {
    const { stored, objects, changed } = await store(checked);
    const title = {
      titleId,
      name,
      durationSeconds: stored.durationSeconds,
      hlsPath: stored.hlsPath && `${titleId}/${stored.hlsPath}`,
      dashPath: stored.dashPath && `${titleId}/${stored.dashPath}`,
      sizeBytes: objects.reduce((total, { sizeBytes }) => total + sizeBytes, 0),
    };
    await catalog?.publish({
      title: {
        ...title,
        durationSeconds: Math.round(title.durationSeconds),
        sizeBytes: BigInt(title.sizeBytes),
        objectCount: objects.length,
        publishedAtUnixMs: 0n,
      },
      objects: objects.map((object) => ({ ...object, sizeBytes: BigInt(object.sizeBytes) })),
      media: { ...stored.media, encodes: stored.media.encodes.map((encode) => ({ ...encode, path: `${titleId}/${encode.path}` })) },
    });
    return { ...title, changed, published: catalog !== undefined, objects, unnamed: stored.unnamed };
  } finally {
    catalog?.close();
  }

  async function store(
    checked: CheckedPackage | undefined,
  ): Promise<{ stored: CheckedPackage; objects: StoredObject[]; changed: boolean }> {
    let title: OriginTitle | undefined;
    try {
      await mkdir(origin, { recursive: true });
      title = await OriginTitle.open(origin, titleId);
      const stored = checked ?? (await packageInto(await title.workFolder()));
      const totalBytes = stored.files.reduce((total, { sizeBytes }) => total + sizeBytes, 0);
      let doneBytes = 0;
      const onBytes = (bytes: number) => onProgress?.("store", (doneBytes += bytes), totalBytes);
      for (const file of stored.files)
        await title.storeFile({ source: join(stored.folder, file.path), path: file.path, chunkBytes, onBytes, signal });
      signal.throwIfAborted();
      return { stored, objects: title.objects, changed: await title.commit() };
    } catch (error) {
      await title?.discard();
      // Whatever broke after the wish to stop broke because of it.
      if (signal.aborted) throw signal.reason;
      throw explain(error, path, origin);
    }
  }

  async function packageInto(folder: string): Promise<CheckedPackage> {
    await packageVideo(path, { folder, name: titleId, signal, onProgress: (done, total) => onProgress?.("package", done, total) });
    return checkPackage(folder);
  }
}

/** @throws OperatingError when `path` is nothing that ffmpeg could package. */
async function refuseUnpackable(path: string, isFile: boolean, signal: AbortSignal): Promise<void> {
  if (!isFile) throw new OperatingError("not-a-video", `Cannot ingest ${path}: it is neither a folder nor a file`);
  if (/\.(m3u8|mpd)$/i.test(path))
    throw new OperatingError("not-a-video", `Cannot ingest ${path}: it is a playlist; give the folder that it is in`);
  await probeVideo(path, signal);
}

const titleIdPattern = /^[a-z0-9][a-z0-9-]{0,63}$/;

function checkTitleId(titleId: string, madeFrom: string | undefined): string {
  if (titleIdPattern.test(titleId)) return titleId;
  const origin = madeFrom === undefined ? "" : ` (made from ${madeFrom}: choose one with --title-id)`;
  throw new OperatingError(
    "title-id-invalid",
    `Cannot use title id "${titleId}"${origin}: expected 1 to 64 lower-case letters, digits and dashes, not a dash first`,
  );
}

/** "My Film (2024)" becomes "my-film-2024". */
export function titleIdFrom(name: string): string {
  return name
    .normalize("NFKD")
    .toLowerCase()
    .replaceAll(/\p{Mark}/gu, "")
    .replaceAll(/[^a-z0-9]+/g, "-")
    .replaceAll(/^-+/g, "")
    .slice(0, 64)
    .replaceAll(/-+$/g, "");
}

/** Turns what the disk said into an OperatingError; leaves every other error as it is. */
function explain(error: unknown, path: string, origin: string): unknown {
  const errno = errnoOf(error);
  if (error instanceof OperatingError) {
    if (!/no space left on device/i.test(error.message)) return error;
    return new OperatingError("disk-full", `Cannot ingest ${path}: the disk of ${origin} is full`, { source: origin, cause: error });
  }
  if (errno === "ENOSPC" || errno === "EDQUOT")
    return new OperatingError("disk-full", `Cannot ingest ${path}: the disk of ${origin} is full`, { source: origin, cause: error });
  if (errno !== undefined && /^E[A-Z0-9]+$/.test(errno))
    return new OperatingError("origin-unwritable", `Cannot ingest ${path}: ${messageOf(error)}`, { source: origin, cause: error });
  return error;
}
