// Packages one video file: H.264 renditions and AAC sound as single CMAF files with aligned 2-second segments, HLS and DASH over them.
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { OperatingError } from "../../runtime/operating-error.js";
import { runMediaProgram } from "./media-program.js";
import { readMp4Index, type Mp4Index } from "./mp4-index.js";
import { makeDashManifest, makeMediaPlaylist, makeMultivariantPlaylist, type PackagedTracks } from "./package-playlists.js";
import { inputOf, probeVideo, type VideoSource } from "./probe-video.js";
import { chooseRenditions, defaultLadder, type LadderRung, type Rendition } from "./video-ladder.js";

const segmentSeconds = 2;
/** x264's scale; quality is constant at this value until a rung's rate bounds it. */
const constantRateFactor = 23;
/** Everything is resampled to this. */
const audioSampleRate = 48_000;
const audioChannels = 2;
const audioFile = "audio.mp4";
/** AAC-LC, which is what ffmpeg's "aac" makes (RFC 6381). */
const audioCodec = "mp4a.40.2";

export interface PackageVideoOptions {
  /** Empty or missing; gets master.m3u8, <name>.mpd, and an .mp4 and .m3u8 per rendition. */
  folder: string;
  name: string;
  signal: AbortSignal;
  /** Called now and then with the seconds of film that are done. */
  onProgress?: (doneSeconds: number, durationSeconds: number) => void;
  ladder?: readonly LadderRung[];
  audioBitsPerSecond?: number;
}

/** @throws OperatingError "not-a-video", "ffmpeg-missing" or "ffmpeg-failed". */
export async function packageVideo(path: string, options: PackageVideoOptions): Promise<void> {
  const { folder, name, signal, onProgress, ladder = defaultLadder, audioBitsPerSecond = 128_000 } = options;
  const source = await probeVideo(path, signal);
  const renditions = chooseRenditions(source, ladder);
  await runMediaProgram("ffmpeg", encodeArguments(source, renditions, folder, audioBitsPerSecond), {
    purpose: `package ${path}`,
    signal,
    onLine: (line) => {
      const microseconds = /^out_time_us=(\d+)/.exec(line)?.[1];
      if (microseconds) onProgress?.(Math.min(Number(microseconds) / 1e6, source.durationSeconds), source.durationSeconds);
    },
  });

  const tracks: PackagedTracks = {
    videos: await Promise.all(
      renditions.map(async ({ name, width, height }) => {
        const index = await indexOf(folder, videoFile(name));
        return { file: videoFile(name), index, codec: index.videoCodec ?? "avc1", width, height, frameRate: source.frameRate };
      }),
    ),
    audio:
      source.audioTrack === undefined
        ? undefined
        : {
            file: audioFile,
            index: await indexOf(folder, audioFile),
            codec: audioCodec,
            sampleRate: audioSampleRate,
            channels: audioChannels,
          },
  };
  for (const track of [...tracks.videos, ...(tracks.audio ? [tracks.audio] : [])])
    await writeFile(join(folder, playlistOf(track.file)), makeMediaPlaylist(track));
  await writeFile(join(folder, "master.m3u8"), makeMultivariantPlaylist(tracks, playlistOf));
  await writeFile(join(folder, `${name}.mpd`), makeDashManifest(tracks));
}

function videoFile(renditionName: string): string {
  return `video-${renditionName}.mp4`;
}

function playlistOf(file: string): string {
  return file.replace(/\.mp4$/, ".m3u8");
}

async function indexOf(folder: string, file: string): Promise<Mp4Index> {
  const index = await readMp4Index(join(folder, file));
  if (!index || index.segments.length === 0)
    throw new OperatingError("ffmpeg-failed", `Cannot package: ffmpeg wrote ${file} without a segment index or without a frame`);
  return index;
}

/** One decoding, one output per rendition. */
function encodeArguments(source: VideoSource, renditions: readonly Rendition[], folder: string, audioBitsPerSecond: number): string[] {
  const { numerator, denominator } = source.frameRate;
  // Of 29.97 frames a second, 60 make a segment: every rendition cuts at the same frames, whatever the scenes are.
  const segmentFrames = Math.max(1, Math.round((segmentSeconds * numerator) / denominator));
  const branches = renditions.map((_, number) => `[in${number}]`).join("");
  const filters = [
    `[0:${source.videoTrack}]fps=${numerator}/${denominator}:start_time=0,split=${renditions.length}${branches}`,
    ...renditions.map(
      ({ width, height }, number) => `[in${number}]scale=${width}:${height}:flags=bicubic,setsar=1,format=yuv420p[out${number}]`,
    ),
  ];
  // An index of all segments in front; the edit list takes back the delay of reordered frames and of the AAC encoder, so that sound and
  // picture meet (delay_moov: it is written when that delay is known).
  const fragmented = ["-f", "mp4", "-use_editlist", "1", "-movflags"];
  const flags = "+cmaf+delay_moov+global_sidx";
  const videoOutputs = renditions.map(({ name, maxBitsPerSecond }, number) => [
    ["-map", `[out${number}]`, "-map_metadata", "-1", "-c:v", "libx264", "-preset", "medium", "-crf", String(constantRateFactor)],
    ["-maxrate", String(maxBitsPerSecond), "-bufsize", String(maxBitsPerSecond * segmentSeconds)],
    ["-g", String(segmentFrames), "-keyint_min", String(segmentFrames), "-sc_threshold", "0"],
    [...fragmented, `${flags}+frag_keyframe`, `file:${join(folder, videoFile(name))}`],
  ]);
  const audioOutput = [
    ["-map", `0:${source.audioTrack}`, "-map_metadata", "-1", "-af", "aresample=async=1:first_pts=0"],
    ["-c:a", "aac", "-b:a", String(audioBitsPerSecond), "-ar", String(audioSampleRate), "-ac", String(audioChannels)],
    ["-frag_duration", String(Math.round((segmentFrames * denominator * 1e6) / numerator))],
    [...fragmented, flags, `file:${join(folder, audioFile)}`],
  ];
  return [
    ["-hide_banner", "-nostdin", "-v", "error", "-progress", "pipe:1", "-nostats"],
    inputOf(source.path),
    ["-filter_complex", filters.join(";")],
    ...videoOutputs.flat(),
    ...(source.audioTrack === undefined ? [] : audioOutput),
  ].flat();
}
