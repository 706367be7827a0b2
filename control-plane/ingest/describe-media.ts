// From what HLS and DASH say of their tracks to the encodes and languages of a title: one entry per encode, whichever names it.
import { TrackKind, type Encode, type TitleMedia } from "../protocol/generated/millrace/catalog/v1/catalog.js";
import type { DashTrack } from "./dash-manifest.js";
import type { HlsTrack } from "./hls-playlist.js";

/** As the catalog takes them: what a manifest of another make may have beyond is left out, the film plays all the same. */
const encodesMax = 1000;
const languagesMax = 200;
const wholeMax = 2 ** 32 - 1;
const pixelsMax = 100_000;

const soundCodec = /^(mp4a|ac-3|ec-3|ac-4|opus|flac|alac|vorbis|dts[ce+x]|mp3|mha1|mhm1)/i;
const textCodec = /^(wvtt|stpp|tx3g)/i;

export interface MediaTracks {
  hlsTracks: readonly HlsTrack[];
  dashTracks: readonly DashTrack[];
  /** HLS media playlist → the first file that it names: what DASH names too when both are of the same files. */
  firstFiles: ReadonlyMap<string, string>;
}

export function describeMedia({ hlsTracks, dashTracks, firstFiles }: MediaTracks): TitleMedia {
  const encodes = new Map<string, Encode>();
  const languages = { audio: new Set<string>(), subtitles: new Set<string>() };
  const add = (encode: Encode) => {
    const { kind, language, path } = encode;
    if (language !== "" && kind === TrackKind.TRACK_KIND_AUDIO) languages.audio.add(language);
    if (language !== "" && kind === TrackKind.TRACK_KIND_SUBTITLES) languages.subtitles.add(language);
    const known = encodes.get(path);
    if (!known) encodes.set(path, encode);
    else encodes.set(path, joined(known, encode));
  };

  for (const { type, path, attributes } of hlsTracks) {
    const kind = kindOfHls(type, attributes);
    if (kind === undefined) continue;
    const language = languageOf(attributes.get("LANGUAGE"));
    if (path === undefined) {
      // Inside of the variants: there is no encode of its own, but a language.
      if (kind === TrackKind.TRACK_KIND_AUDIO && language !== "") languages.audio.add(language);
      continue;
    }
    const file = firstFiles.get(path) ?? path;
    const [width = "", height = ""] = (attributes.get("RESOLUTION") ?? "").split("x");
    add({
      kind,
      codecs: type === "STREAM-INF" ? codecsOfVariant(attributes, hlsTracks) : codecsOfRendition(attributes, hlsTracks, kind),
      width: whole(width, pixelsMax),
      height: whole(height, pixelsMax),
      bitsPerSecond: whole(attributes.get("BANDWIDTH")),
      container: containerOf(file),
      path: file,
      language,
      inHls: true,
      inDash: false,
    });
  }
  for (const { path, attributes } of dashTracks) {
    const { codecs = "", mimeType = "", contentType = mimeType.split("/")[0], lang, width, height, bandwidth } = attributes;
    const kind = kindOfDash(contentType ?? "", codecs, mimeType);
    if (kind === undefined) continue;
    add({
      kind,
      codecs: listOf(codecs),
      width: whole(width, pixelsMax),
      height: whole(height, pixelsMax),
      bitsPerSecond: whole(bandwidth),
      container: mimeType === "" ? containerOf(path) : wordOf(mimeType.split("/")[1] ?? ""),
      path,
      language: languageOf(lang),
      inHls: false,
      inDash: true,
    });
  }
  return {
    encodes: [...encodes.values()].slice(0, encodesMax),
    audioLanguages: [...languages.audio].slice(0, languagesMax),
    subtitleLanguages: [...languages.subtitles].slice(0, languagesMax),
  };
}

/** The same encode, seen again: DASH's figures are the track's own, HLS' bandwidth is that of a whole variant with its sound. */
function joined(known: Encode, seen: Encode): Encode {
  return {
    ...known,
    codecs: seen.inDash && seen.codecs.length > 0 ? seen.codecs : known.codecs.length > 0 ? known.codecs : seen.codecs,
    width: known.width || seen.width,
    height: known.height || seen.height,
    bitsPerSecond: seen.inDash && seen.bitsPerSecond > 0 ? seen.bitsPerSecond : lowerOf(known.bitsPerSecond, seen.bitsPerSecond),
    language: known.language || seen.language,
    inHls: known.inHls || seen.inHls,
    inDash: known.inDash || seen.inDash,
  };
}

/** Of variants with the same pictures and other sound, the one with the least; 0 is not known. */
function lowerOf(one: number, other: number): number {
  return one === 0 ? other : other === 0 ? one : Math.min(one, other);
}

function kindOfHls(type: string, attributes: ReadonlyMap<string, string>): TrackKind | undefined {
  if (type === "AUDIO") return TrackKind.TRACK_KIND_AUDIO;
  if (type === "SUBTITLES") return TrackKind.TRACK_KIND_SUBTITLES;
  if (type === "VIDEO") return TrackKind.TRACK_KIND_VIDEO;
  if (type !== "STREAM-INF") return undefined;
  const codecs = listOf(attributes.get("CODECS") ?? "");
  const soundOnly = codecs.length > 0 && !attributes.has("RESOLUTION") && codecs.every((codec) => soundCodec.test(codec));
  return soundOnly ? TrackKind.TRACK_KIND_AUDIO : TrackKind.TRACK_KIND_VIDEO;
}

function kindOfDash(contentType: string, codecs: string, mimeType: string): TrackKind | undefined {
  if (contentType === "video") return TrackKind.TRACK_KIND_VIDEO;
  if (contentType === "audio") return TrackKind.TRACK_KIND_AUDIO;
  if (contentType === "text" || textCodec.test(codecs) || mimeType.includes("ttml")) return TrackKind.TRACK_KIND_SUBTITLES;
  return undefined;
}

/** A variant names the codecs of all that plays together; of those, sound that has playlists of its own is not in this file. */
function codecsOfVariant(attributes: ReadonlyMap<string, string>, tracks: readonly HlsTrack[]): string[] {
  const codecs = listOf(attributes.get("CODECS") ?? "").filter((codec) => !textCodec.test(codec));
  const group = attributes.get("AUDIO");
  const isApart = tracks.some(
    ({ type, path, attributes: other }) => type === "AUDIO" && path !== undefined && other.get("GROUP-ID") === group,
  );
  const ownSound = group === undefined || !isApart;
  return ownSound || codecs.every((codec) => soundCodec.test(codec)) ? codecs : codecs.filter((codec) => !soundCodec.test(codec));
}

/** A rendition does not name its codec: it is the one of its purpose in the variants that use its group. */
function codecsOfRendition(attributes: ReadonlyMap<string, string>, tracks: readonly HlsTrack[], kind: TrackKind): string[] {
  const key = kind === TrackKind.TRACK_KIND_AUDIO ? "AUDIO" : kind === TrackKind.TRACK_KIND_SUBTITLES ? "SUBTITLES" : "VIDEO";
  const group = attributes.get("GROUP-ID");
  const used = tracks.filter(({ type, attributes: variant }) => type === "STREAM-INF" && variant.get(key) === group);
  const codecs = used.flatMap(({ attributes: variant }) => listOf(variant.get("CODECS") ?? ""));
  const fitting = codecs.filter((codec) =>
    kind === TrackKind.TRACK_KIND_AUDIO
      ? soundCodec.test(codec)
      : kind === TrackKind.TRACK_KIND_SUBTITLES
        ? textCodec.test(codec)
        : !soundCodec.test(codec) && !textCodec.test(codec),
  );
  // Several mean that it can't be told which.
  const distinct = [...new Set(fitting)];
  return distinct.length === 1 ? distinct : [];
}

function listOf(codecs: string): string[] {
  return codecs
    .split(",")
    .map((codec) => codec.trim())
    .filter((codec) => /^[\w.+-]{1,64}$/.test(codec))
    .slice(0, 10);
}

/** By the file's ending. */
function containerOf(path: string): string {
  const ending = /\.(\w+)$/.exec(path)?.[1]?.toLowerCase() ?? "";
  return wordOf({ m4s: "mp4", m4v: "mp4", m4a: "mp4", cmfv: "mp4", cmfa: "mp4" }[ending] ?? ending);
}

function wordOf(text: string): string {
  return /^[\w.+-]{1,32}$/.test(text) ? text : "";
}

function languageOf(tag: string | undefined): string {
  return tag !== undefined && tag !== "und" && tag.length <= 64 && /^[A-Za-z0-9]{1,8}(-[A-Za-z0-9]{1,8})*$/.test(tag) ? tag : "";
}

function whole(text: string | undefined, max = wholeMax): number {
  const value = Number(text);
  return Number.isSafeInteger(value) && value >= 0 && value <= max ? value : 0;
}
