// Reads an HLS playlist (RFC 8216) for the files and byte ranges that it names.
import { packageError, resolveReference, type ByteSpan, type PackageReference } from "./package-reference.js";

export interface HlsPlaylist {
  kind: "multivariant" | "media";
  /** The media playlists that a multivariant playlist names. */
  playlists: string[];
  /** What a multivariant playlist says of its tracks; I-frame playlists are left out. */
  tracks: HlsTrack[];
  /** Segments, initialization sections and keys. */
  references: PackageReference[];
  /** Sum of the segments; 0 for a multivariant playlist. */
  durationSeconds: number;
}

export interface HlsTrack {
  /** "STREAM-INF", or TYPE of EXT-X-MEDIA. */
  type: string;
  /** Its media playlist; undefined when it is inside of the variants' own. */
  path: string | undefined;
  /** Attribute → value, without quotes. */
  attributes: ReadonlyMap<string, string>;
}

/**
 * The playlist `text`, which stands at `path` of its package.
 * @throws OperatingError "package-invalid" when it is no playlist, is of a live stream, or names what can't be ingested.
 */
export function parseHlsPlaylist(text: string, path: string): HlsPlaylist {
  const lines = text.replace(/^\uFEFF/, "").split(/\r?\n/);
  if (lines[0]?.trimEnd() !== "#EXTM3U") throw packageError(path, "it does not start with #EXTM3U");
  const playlists: string[] = [];
  const references: PackageReference[] = [];
  const tracks: HlsTrack[] = [];
  let variant: ReadonlyMap<string, string> = new Map();
  let kind: HlsPlaylist["kind"] | undefined;
  let ended = false;
  let durationSeconds = 0;
  let variantNext = false;
  let segmentRange: string | undefined;
  /** Where a range without offset begins: after the one before it in the same file (RFC 8216 4.3.2.2). */
  const nextByte = new Map<string, number>();

  const spanOf = (file: string, range: string, line: number): ByteSpan => {
    const match = /^(\d+)(?:@(\d+))?$/.exec(range);
    const firstByte = match?.[2] === undefined ? nextByte.get(file) : Number(match[2]);
    const lastByte = (firstByte ?? NaN) + Number(match?.[1]) - 1;
    if (firstByte === undefined || !Number.isSafeInteger(lastByte) || lastByte < firstByte)
      throw packageError(path, `line ${line} has the byte range "${range}", which is not one or has no offset to follow on`);
    nextByte.set(file, lastByte + 1);
    return { firstByte, lastByte };
  };

  for (const [index, raw] of lines.entries()) {
    const line = raw.trim();
    const colon = line.indexOf(":");
    const value = line.slice(colon + 1);
    switch (line.startsWith("#") && colon > 0 ? line.slice(0, colon) : line) {
      case "#EXT-X-STREAM-INF":
        kind = "multivariant";
        variantNext = true;
        variant = attributesOf(value);
        break;
      case "#EXT-X-MEDIA":
      case "#EXT-X-I-FRAME-STREAM-INF": {
        kind = "multivariant";
        const attributes = attributesOf(value);
        const uri = attributes.get("URI");
        const playlist = uri ? resolveReference(path, uri) : undefined;
        if (playlist !== undefined) playlists.push(playlist);
        if (line.startsWith("#EXT-X-MEDIA:")) tracks.push({ type: attributes.get("TYPE") ?? "", path: playlist, attributes });
        break;
      }
      case "#EXT-X-TARGETDURATION":
        kind = "media";
        break;
      case "#EXTINF": {
        const seconds = Number.parseFloat(value);
        if (!(seconds >= 0)) throw packageError(path, `line ${index + 1} has no duration: "${line}"`);
        durationSeconds += seconds;
        break;
      }
      case "#EXT-X-BYTERANGE":
        segmentRange = value;
        break;
      case "#EXT-X-MAP": {
        const attributes = attributesOf(value);
        const file = resolveReference(path, attributes.get("URI") ?? "");
        const range = attributes.get("BYTERANGE");
        references.push({ path: file, span: range === undefined ? undefined : spanOf(file, range, index + 1) });
        break;
      }
      case "#EXT-X-KEY":
      case "#EXT-X-SESSION-KEY": {
        const uri = attributesOf(value).get("URI");
        // A key server's address is not a file of ours.
        if (uri && !/^[a-z][a-z0-9+.-]*:/i.test(uri)) references.push({ path: resolveReference(path, uri), span: undefined });
        break;
      }
      case "#EXT-X-ENDLIST":
        ended = true;
        break;
      default: {
        if (line === "" || line.startsWith("#")) break;
        const file = resolveReference(path, line);
        if (variantNext) {
          playlists.push(file);
          tracks.push({ type: "STREAM-INF", path: file, attributes: variant });
        } else references.push({ path: file, span: segmentRange === undefined ? undefined : spanOf(file, segmentRange, index + 1) });
        variantNext = false;
        segmentRange = undefined;
      }
    }
  }
  if (kind === undefined) throw packageError(path, "it names neither variants nor segments");
  if (kind === "multivariant" && playlists.length === 0) throw packageError(path, "it names no variant");
  if (kind === "media" && references.length === 0) throw packageError(path, "it names no segment");
  if (kind === "media" && !ended) throw packageError(path, "it has no #EXT-X-ENDLIST: live streams can't be ingested");
  return { kind, playlists, tracks, references, durationSeconds };
}

/** RFC 8216 4.2: NAME=value or NAME="value", with commas between. */
function attributesOf(list: string): Map<string, string> {
  const attributes = new Map<string, string>();
  for (const match of list.matchAll(/([A-Z0-9-]+)=(?:"([^"]*)"|([^,]*))/g)) attributes.set(match[1]!, match[2] ?? match[3]!);
  return attributes;
}
