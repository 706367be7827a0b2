// Checks that a packaged folder is whole: every file that its playlists name is there, and every byte range is inside its file.
import { open, readdir, readFile, realpath, stat } from "node:fs/promises";
import { join, relative, sep } from "node:path";
import { errnoOf, messageOf, OperatingError } from "../../runtime/operating-error.js";
import type { TitleMedia } from "../protocol/generated/millrace/catalog/v1/catalog.js";
import { parseDashManifest, type DashTrack } from "./dash-manifest.js";
import { describeMedia } from "./describe-media.js";
import { parseHlsPlaylist, type HlsTrack } from "./hls-playlist.js";
import { readSegments } from "./mp4-index.js";
import { packageError, type PackageReference } from "./package-reference.js";

/** A day of 2-s segments with byte ranges is 3 MB of text. */
const maxPlaylistBytes = 16 * 2 ** 20;
/** Variants, audio tracks and subtitles together; the largest seen in the field have about a hundred. */
const maxPlaylists = 1000;

interface CheckedFile {
  /** From the package's folder. */
  path: string;
  sizeBytes: number;
}

export interface CheckedPackage {
  folder: string;
  /** Every file that belongs to the title: entry documents, playlists and media, sorted by path. */
  files: CheckedFile[];
  /** Files of the folder that no playlist names; they are not ingested. */
  unnamed: string[];
  /** Entry documents, from the folder; empty where there is none. */
  hlsPath: string;
  dashPath: string;
  durationSeconds: number;
  /** What the entry documents say of their tracks; paths from the folder. */
  media: TitleMedia;
}

/** @throws OperatingError "package-invalid" with the playlist and what is wrong with it; "package-unreadable" when the disk refuses. */
export async function checkPackage(folder: string): Promise<CheckedPackage> {
  const check = new PackageCheck(folder, await realpath(folder));
  const names = (await readdir(folder, { recursive: true, withFileTypes: true }))
    .filter((entry) => !entry.isDirectory())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)).split(sep).join("/"));
  const top = names.filter((name) => !name.includes("/") && !name.startsWith("."));
  const dashPath = onlyOne(
    top.filter((name) => name.endsWith(".mpd")),
    folder,
    "DASH manifests",
  );
  const hlsPath = await findHlsEntry(
    check,
    top.filter((name) => name.endsWith(".m3u8")),
    folder,
  );
  if (!hlsPath && !dashPath) throw packageError(folder, "it has neither an HLS playlist (.m3u8) nor a DASH manifest (.mpd)");

  const durations: number[] = [];
  const hlsTracks: HlsTrack[] = [];
  const dashTracks: DashTrack[] = [];
  /** Playlist → the first file that it names. */
  const firstFiles = new Map<string, string>();
  const playlists = hlsPath ? [hlsPath] : [];
  // The list grows while it is walked: a multivariant playlist adds its media playlists.
  for (let number = 0; number < playlists.length; number++) {
    if (number >= maxPlaylists) throw packageError(hlsPath, `it leads to more than ${maxPlaylists} playlists`);
    const path = playlists[number]!;
    const playlist = parseHlsPlaylist(await check.readText(path, number === 0 ? folder : hlsPath), path);
    if (playlist.kind === "multivariant" && number > 0) throw packageError(path, "it is named as a media playlist but names variants");
    if (playlist.playlists.includes(path)) throw packageError(path, "it names itself as a variant");
    playlists.push(...playlist.playlists.filter((name) => !playlists.includes(name)));
    durations.push(playlist.durationSeconds);
    hlsTracks.push(...playlist.tracks);
    const first = playlist.references[0];
    if (first) firstFiles.set(path, first.path);
    await check.references(playlist.references, path);
  }
  if (dashPath) {
    const manifest = parseDashManifest(await check.readText(dashPath, folder), dashPath);
    durations.push(manifest.durationSeconds);
    dashTracks.push(...manifest.tracks);
    await check.references(manifest.references, dashPath);
  }
  const files = [...check.sizes].map(([path, sizeBytes]) => ({ path, sizeBytes })).sort((a, b) => (a.path < b.path ? -1 : 1));
  return {
    folder,
    files,
    unnamed: names.filter((name) => !check.sizes.has(name)).sort(),
    hlsPath,
    dashPath,
    durationSeconds: Math.max(...durations),
    media: describeMedia({ hlsTracks, dashTracks, firstFiles }),
  };
}

/** The multivariant playlist, or the only media playlist where there is none. */
async function findHlsEntry(check: PackageCheck, names: readonly string[], folder: string): Promise<string> {
  const kinds = new Map<string, string>();
  for (const name of names) kinds.set(name, parseHlsPlaylist(await check.readText(name, folder), name).kind);
  // Only what is reached from the entry belongs to the title.
  check.sizes.clear();
  const masters = names.filter((name) => kinds.get(name) === "multivariant");
  return onlyOne(masters.length > 0 ? masters : names, folder, "HLS entry playlists");
}

function onlyOne(names: readonly string[], folder: string, what: string): string {
  if (names.length > 1) throw packageError(folder, `it has several ${what}: ${[...names].sort().join(", ")}; one title can have one`);
  return names[0] ?? "";
}

class PackageCheck {
  /** Bytes of every file that was named so far. */
  readonly sizes = new Map<string, number>();

  constructor(
    private readonly folder: string,
    private readonly realFolder: string,
  ) {}

  async readText(path: string, from: string): Promise<string> {
    if ((await this.sizeOf(path, from)) > maxPlaylistBytes)
      throw packageError(path, `it is larger than ${maxPlaylistBytes} bytes, too large for a playlist`);
    return readFile(join(this.folder, path), "utf8");
  }

  async references(references: readonly PackageReference[], from: string): Promise<void> {
    for (const { path, span, isIndex } of references) {
      const sizeBytes = await this.sizeOf(path, from);
      if (!span) continue;
      if (span.lastByte >= sizeBytes) throw beyondEnd(from, path, span.firstByte, span.lastByte, sizeBytes);
      if (isIndex) await this.index(path, from, span.firstByte, span.lastByte, sizeBytes);
    }
  }

  private async index(path: string, from: string, first: number, last: number, sizeBytes: number): Promise<void> {
    const file = await open(join(this.folder, path), "r");
    try {
      const segments = await readSegments(file, first, last);
      if (!segments) throw packageError(from, `it says that bytes ${first}-${last} of ${path} are a segment index, and they are not`);
      for (const { offset, sizeBytes: length } of segments)
        if (offset + length > sizeBytes) throw beyondEnd(path, path, offset, offset + length - 1, sizeBytes);
    } finally {
      await file.close();
    }
  }

  private async sizeOf(path: string, from: string): Promise<number> {
    const known = this.sizes.get(path);
    if (known !== undefined) return known;
    let real: string;
    let found;
    try {
      real = await realpath(join(this.folder, path));
      found = await stat(real);
    } catch (error) {
      if (errnoOf(error) === "ENOENT" || errnoOf(error) === "ENOTDIR")
        throw packageError(from, `it names ${path}, which is not in the package`);
      throw new OperatingError("package-unreadable", `Cannot read ${path}: ${messageOf(error)}`, { source: path, cause: error });
    }
    if (!found.isFile()) throw packageError(from, `it names ${path}, which is not a file`);
    // A link in a package that someone else made could publish any file of this machine.
    if (!real.startsWith(this.realFolder + sep)) throw packageError(from, `it names ${path}, which is a link out of the package`);
    this.sizes.set(path, found.size);
    return found.size;
  }
}

function beyondEnd(from: string, path: string, first: number, last: number, sizeBytes: number): OperatingError {
  return packageError(from, `it names bytes ${first}-${last} of ${path}, which has only ${sizeBytes} bytes`);
}
