// Reads HLS playlists (RFC 8216) as a player would: the master, then each rendition's when it is first needed.
import HLS from "hls-parser";
import { messageOf, OperatingError } from "../../runtime/operating-error.js";
import type { MediaGetter, MediaPiece, MediaTrack, Presentation } from "./media-range.js";

HLS.setOptions({ strictMode: true, silent: true });

/** Throws OperatingError "playlist-unplayable" where the playlist is malformed or is not a whole film. */
export async function openHls(getter: MediaGetter): Promise<Presentation> {
  const text = await getter.getText([]);
  const playlist = parse(text, "the URL");
  if (!playlist.isMasterPlaylist) {
    const track = trackOf(playlist, []);
    return { bitsPerSecond: [meanBits(track)], loadVideo: async () => track, loadAudio: async () => null };
  }
  const pictured = playlist.variants.filter((variant) => variant.resolution !== undefined && !variant.isIFrameOnly);
  // Where no variant says its resolution, all are taken.
  const variants = (pictured.length > 0 ? pictured : playlist.variants.filter((variant) => !variant.isIFrameOnly)).sort(
    (a, b) => a.bandwidth - b.bandwidth,
  );
  if (variants.length === 0) throw unplayable("the master playlist has no variant");
  const audio = variants[0]!.audio.find((rendition) => rendition.isDefault) ?? variants[0]!.audio[0];
  const audioUrl = audio?.uri;
  const load = async (url: string) => {
    const media = parse(await getter.getText([url]), url);
    if (media.isMasterPlaylist) throw unplayable(`${url} is a master playlist inside a master playlist`);
    return trackOf(media, [url]);
  };
  return {
    bitsPerSecond: variants.map((variant) => variant.averageBandwidth ?? variant.bandwidth),
    loadVideo: (rung) => load(variants[rung]!.uri),
    loadAudio: async () => (audioUrl === undefined ? null : load(audioUrl)),
  };
}

type Playlist = HLS.types.MasterPlaylist | HLS.types.MediaPlaylist;

/** Players of one run read the same playlists over and over; each fetches them, but equal text is parsed once. */
const parsed = new Map<string, Playlist>();
const parsedMax = 64;

function parse(text: string, name: string): Playlist {
  const known = parsed.get(text);
  if (known) return known;
  let playlist: Playlist;
  try {
    playlist = HLS.parse(text);
  } catch (error) {
    throw unplayable(`${name} is not an HLS playlist: ${messageOf(error)}`, error);
  }
  if (parsed.size >= parsedMax) parsed.clear();
  parsed.set(text, playlist);
  return playlist;
}

function trackOf(playlist: HLS.types.MediaPlaylist, references: readonly string[]): MediaTrack {
  if (!playlist.endlist) throw unplayable("the playlist has no EXT-X-ENDLIST: live streams are not simulated");
  if (playlist.segments.length === 0) throw unplayable("the playlist has no segment");
  let seconds = 0;
  const segments = playlist.segments.map((segment) => {
    const startSeconds = seconds;
    seconds += segment.duration;
    return { ...pieceOf(segment, references), startSeconds, endSeconds: seconds };
  });
  const map = playlist.segments[0]!.map;
  return { initialization: map ? pieceOf(map, references) : null, segments };
}

function pieceOf(
  source: { uri?: string; byterange?: { offset?: number; length: number } },
  playlistReferences: readonly string[],
): MediaPiece {
  const { uri, byterange } = source;
  return {
    references: [...playlistReferences, uri ?? ""],
    range: byterange ? { firstByte: byterange.offset ?? 0, bytes: byterange.length } : null,
  };
}

/** 0 where the segments' sizes are not said. */
function meanBits({ segments }: MediaTrack): number {
  const bytes = segments.reduce((sum, { range }) => sum + (range?.bytes ?? 0), 0);
  return Math.round((bytes * 8) / segments.at(-1)!.endSeconds);
}

function unplayable(reason: string, cause?: unknown): OperatingError {
  return new OperatingError("playlist-unplayable", `Cannot play: ${reason}`, { cause });
}
