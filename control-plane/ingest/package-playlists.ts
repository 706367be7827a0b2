// Writes the HLS playlists and the DASH manifest of single-file renditions: one set of MP4 files, every segment a byte range of one.
import type { Mp4Index } from "./mp4-index.js";

interface PackagedVideo {
  /** "video-540p.mp4", beside the playlists. */
  file: string;
  index: Mp4Index;
  codec: string;
  width: number;
  height: number;
  frameRate: { numerator: number; denominator: number };
}

interface PackagedAudio {
  file: string;
  index: Mp4Index;
  codec: string;
  sampleRate: number;
  channels: number;
}

export interface PackagedTracks {
  videos: readonly PackagedVideo[];
  audio: PackagedAudio | undefined;
}

/** The media playlist of one file. */
export function makeMediaPlaylist({ file, index }: { file: string; index: Mp4Index }): string {
  const target = Math.ceil(Math.max(...index.segments.map(({ durationSeconds }) => durationSeconds)));
  return [
    "#EXTM3U",
    "#EXT-X-VERSION:7",
    `#EXT-X-TARGETDURATION:${target}`,
    "#EXT-X-MEDIA-SEQUENCE:0",
    "#EXT-X-PLAYLIST-TYPE:VOD",
    "#EXT-X-INDEPENDENT-SEGMENTS",
    `#EXT-X-MAP:URI="${file}",BYTERANGE="${index.initBytes}@0"`,
    ...index.segments.flatMap(({ offset, sizeBytes, durationSeconds }) => [
      `#EXTINF:${durationSeconds.toFixed(6)},`,
      `#EXT-X-BYTERANGE:${sizeBytes}@${offset}`,
      file,
    ]),
    "#EXT-X-ENDLIST",
    "",
  ].join("\n");
}

/** The multivariant playlist. `playlistOf` says where the media playlist of a file is. */
export function makeMultivariantPlaylist({ videos, audio }: PackagedTracks, playlistOf: (file: string) => string): string {
  const lines = ["#EXTM3U", "#EXT-X-VERSION:7", "#EXT-X-INDEPENDENT-SEGMENTS"];
  if (audio)
    lines.push(
      `#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="audio",NAME="main",DEFAULT=YES,AUTOSELECT=YES,CHANNELS="${audio.channels}",URI="${playlistOf(audio.file)}"`,
    );
  for (const video of videos) {
    const tracks = audio ? [video, audio] : [video];
    const sum = (rate: (index: Mp4Index) => number) => Math.ceil(tracks.reduce((total, { index }) => total + rate(index), 0));
    const attributes = [
      `BANDWIDTH=${sum(peakBitsPerSecond)}`,
      `AVERAGE-BANDWIDTH=${sum(meanBitsPerSecond)}`,
      `CODECS="${tracks.map(({ codec }) => codec).join(",")}"`,
      `RESOLUTION=${video.width}x${video.height}`,
      `FRAME-RATE=${(video.frameRate.numerator / video.frameRate.denominator).toFixed(3)}`,
      ...(audio ? ['AUDIO="audio"'] : []),
    ];
    lines.push(`#EXT-X-STREAM-INF:${attributes.join(",")}`, playlistOf(video.file));
  }
  return [...lines, ""].join("\n");
}

/** A static manifest of the on-demand profile: players read each file's sidx and ask for byte ranges. */
export function makeDashManifest({ videos, audio }: PackagedTracks): string {
  const duration = Math.max(...[...videos, ...(audio ? [audio] : [])].map(({ index }) => durationOf(index)));
  const representation = (track: PackagedVideo | PackagedAudio, attributes: string, inside: string[] = []) => [
    `      <Representation id="${track.file.replace(/\.mp4$/, "")}" codecs="${track.codec}" bandwidth="${Math.ceil(peakBitsPerSecond(track.index))}" ${attributes}>`,
    ...inside,
    `        <BaseURL>${track.file}</BaseURL>`,
    `        <SegmentBase indexRange="${track.index.indexFirstByte}-${track.index.indexLastByte}">`,
    `          <Initialization range="0-${track.index.initBytes - 1}"/>`,
    "        </SegmentBase>",
    "      </Representation>",
  ];
  const adaptation = (type: string, inside: string[]) => [
    `    <AdaptationSet contentType="${type}" mimeType="${type}/mp4" subsegmentAlignment="true" subsegmentStartsWithSAP="1">`,
    ...inside,
    "    </AdaptationSet>",
  ];
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    '<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" profiles="urn:mpeg:dash:profile:isoff-on-demand:2011" type="static"',
    `     mediaPresentationDuration="PT${duration.toFixed(3)}S" minBufferTime="PT2S">`,
    "  <Period>",
    ...adaptation(
      "video",
      videos.flatMap((video) =>
        representation(
          video,
          `width="${video.width}" height="${video.height}" frameRate="${video.frameRate.numerator}/${video.frameRate.denominator}" sar="1:1"`,
        ),
      ),
    ),
    ...(audio
      ? adaptation(
          "audio",
          representation(audio, `audioSamplingRate="${audio.sampleRate}"`, [
            `        <AudioChannelConfiguration schemeIdUri="urn:mpeg:dash:23003:3:audio_channel_configuration:2011" value="${audio.channels}"/>`,
          ]),
        )
      : []),
    "  </Period>",
    "</MPD>",
    "",
  ].join("\n");
}

function durationOf({ segments }: Mp4Index): number {
  return segments.reduce((total, { durationSeconds }) => total + durationSeconds, 0);
}

function meanBitsPerSecond(index: Mp4Index): number {
  return (index.segments.reduce((total, { sizeBytes }) => total + sizeBytes, 0) * 8) / durationOf(index);
}

/** Of the largest segment; a last segment of a few milliseconds says nothing of the rate that a player needs. */
function peakBitsPerSecond({ segments }: Mp4Index): number {
  const longest = Math.max(...segments.map(({ durationSeconds }) => durationSeconds));
  return Math.max(
    ...segments
      .filter(({ durationSeconds }) => durationSeconds >= longest / 2)
      .map(({ sizeBytes, durationSeconds }) => (sizeBytes * 8) / durationSeconds),
  );
}
