// Which encodes of a title a device can play and a plan includes: pure.
import { TrackKind, type Encode } from "../protocol/generated/millrace/catalog/v1/catalog.js";

export interface PlaybackLimits {
  /** RFC 6381 codecs or beginnings of them; none means all. */
  codecs: readonly string[];
  /** Lines that the device shows; 0 means any. */
  deviceHeightMax: number;
  /** Lines that the plan includes; 0 means any. */
  planHeightMax: number;
}

/** Names of one and the same codec: parameter sets in the stream or beside it make the difference, which players bridge. */
const sameCodec: Readonly<Record<string, string>> = { avc3: "avc1", hev1: "hvc1", dvhe: "dvh1", dvav: "dva1" };
/** What a codec is for, by its first four letters. Anything else is for pictures. */
const soundCodecs = new Set([
  "mp4a",
  "ac-3",
  "ec-3",
  "ac-4",
  "opus",
  "flac",
  "alac",
  "vorb",
  "dtsc",
  "dtse",
  "dtsx",
  "mp3",
  "mha1",
  "mhm1",
]);
const textCodecs = new Set(["wvtt", "stpp", "tx3g"]);

/** The encodes that are left, best picture first, or why none is, in words that follow "Cannot play title X: ". */
export function chooseEncodes(encodes: readonly Encode[], limits: PlaybackLimits): Encode[] | { whyNone: string } {
  const { deviceHeightMax, planHeightMax } = limits;
  const videos = encodes.filter(({ kind }) => kind === TrackKind.TRACK_KIND_VIDEO);
  const audios = encodes.filter(({ kind }) => kind === TrackKind.TRACK_KIND_AUDIO);
  const device = limits.codecs.map(comparable);

  const decodable = videos.filter(({ codecs }) => isDecodable(codecs, device));
  if (videos.length > 0 && decodable.length === 0) {
    return { whyNone: `the device does not play any of its codecs: ${codecsOf(videos)}` };
  }
  const shown = decodable.filter(({ height }) => deviceHeightMax === 0 || height <= deviceHeightMax);
  if (decodable.length > 0 && shown.length === 0) {
    return { whyNone: `the device plays up to ${deviceHeightMax} lines, and it begins at ${lowestOf(decodable)}` };
  }
  const included = shown.filter(({ height }) => planHeightMax === 0 || height <= planHeightMax);
  if (shown.length > 0 && included.length === 0) {
    return { whyNone: `the plan includes up to ${planHeightMax} lines, and what the device plays begins at ${lowestOf(shown)}` };
  }
  const heard = audios.filter(({ codecs }) => isDecodable(codecs, device));
  if (audios.length > 0 && heard.length === 0) return { whyNone: `the device does not play any of its sound codecs: ${codecsOf(audios)}` };

  const rest = encodes.filter(({ kind }) => kind !== TrackKind.TRACK_KIND_VIDEO && kind !== TrackKind.TRACK_KIND_AUDIO);
  return [
    ...included.sort((a, b) => b.height - a.height || b.bitsPerSecond - a.bitsPerSecond),
    ...heard.sort((a, b) => b.bitsPerSecond - a.bitsPerSecond),
    ...rest,
  ];
}

/** Whether the device says so, or says nothing of such codecs. What an encode does not say can't be held against it. */
function isDecodable(codecs: readonly string[], device: readonly string[]): boolean {
  return codecs.map(comparable).every((codec) => {
    const purpose = purposeOf(codec);
    const told = device.filter((each) => purposeOf(each) === purpose);
    return told.length === 0 || purpose === "text" || told.some((each) => codec === each || codec.startsWith(`${each}.`));
  });
}

function comparable(codec: string): string {
  const [name = "", ...rest] = codec.trim().toLowerCase().split(".");
  return [sameCodec[name] ?? name, ...rest].join(".");
}

export function purposeOf(codec: string): "sound" | "text" | "picture" {
  const name = codec.toLowerCase().split(".")[0]!.slice(0, 4);
  return soundCodecs.has(name) ? "sound" : textCodecs.has(name) ? "text" : "picture";
}

function codecsOf(encodes: readonly Encode[]): string {
  return [...new Set(encodes.flatMap(({ codecs }) => codecs))].slice(0, 10).join(", ");
}

function lowestOf(encodes: readonly Encode[]): number {
  return Math.min(...encodes.map(({ height }) => height));
}
