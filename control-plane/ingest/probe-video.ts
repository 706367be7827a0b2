// Asks ffprobe what is in a video file.
import { z } from "zod";
import { OperatingError } from "../../runtime/operating-error.js";
import { runMediaProgram } from "./media-program.js";

export interface VideoSource {
  path: string;
  durationSeconds: number;
  /** Index of the video track among the file's tracks. */
  videoTrack: number;
  /** As it is shown: square pixels, turned upright. */
  width: number;
  height: number;
  /** A fraction: 30000/1001 stays exact. */
  frameRate: { numerator: number; denominator: number };
  audioTrack: number | undefined;
}

/** Above this, every second frame goes: phones name a 90 kHz or 1000 Hz clock where they don't know their rate. */
const maxFramesPerSecond = 60;
const fallbackFrameRate = { numerator: 25, denominator: 1 };

const probeSchema = z.object({
  streams: z
    .array(
      z.object({
        index: z.number(),
        codec_type: z.string().optional(),
        width: z.number().optional(),
        height: z.number().optional(),
        sample_aspect_ratio: z.string().optional(),
        avg_frame_rate: z.string().optional(),
        disposition: z.object({ attached_pic: z.number().optional() }).optional(),
        side_data_list: z.array(z.object({ rotation: z.number().optional() })).optional(),
      }),
    )
    .default([]),
  format: z.object({ format_name: z.string(), duration: z.string().optional() }),
});

/** What ffprobe calls things that it can show as a picture but that are text, lists of other files or one image. */
const notVideoFormat = /^(tty|hls|dash|concat|image2|lavfi|.*_pipe)(,|$)/;

/** @throws OperatingError "not-a-video", "ffmpeg-missing", "ffmpeg-failed". */
export async function probeVideo(path: string, signal: AbortSignal): Promise<VideoSource> {
  const purpose = `package ${path}`;
  const refuse = (reason: string) => new OperatingError("not-a-video", `Cannot ${purpose}: ${reason}`, { source: path });
  const answer = await runMediaProgram("ffprobe", ["-v", "error", ...inputOf(path), "-show_format", "-show_streams", "-of", "json"], {
    purpose,
    signal,
  });
  const { streams, format } = probeSchema.parse(JSON.parse(answer));
  if (notVideoFormat.test(format.format_name)) throw refuse(`it is not a video file (ffprobe takes it for "${format.format_name}")`);
  const video = streams.find((stream) => stream.codec_type === "video" && stream.disposition?.attached_pic !== 1);
  if (!video?.width || !video.height) throw refuse("it has no video track");
  const durationSeconds = Number(format.duration);
  if (!(durationSeconds > 0)) throw refuse("ffprobe finds no duration in it");

  const aspect = parseFraction(video.sample_aspect_ratio?.replace(":", "/"));
  const shownWidth = Math.round(video.width * (aspect ? aspect.numerator / aspect.denominator : 1));
  const turned = video.side_data_list?.some(({ rotation }) => Math.abs(rotation ?? 0) % 180 === 90) ?? false;
  return {
    path,
    durationSeconds,
    videoTrack: video.index,
    width: turned ? video.height : shownWidth,
    height: turned ? shownWidth : video.height,
    frameRate: chooseFrameRate(parseFraction(video.avg_frame_rate)),
    audioTrack: streams.find((stream) => stream.codec_type === "audio")?.index,
  };
}

/** Arguments that make ffmpeg read `path` and nothing else: a "video" that is a list of other files or addresses is not followed to them. */
export function inputOf(path: string): string[] {
  return ["-protocol_whitelist", "file", "-i", `file:${path}`];
}

function chooseFrameRate(found: { numerator: number; denominator: number } | undefined): { numerator: number; denominator: number } {
  if (!found) return fallbackFrameRate;
  let { denominator } = found;
  while (found.numerator / denominator > maxFramesPerSecond) denominator *= 2;
  return { numerator: found.numerator, denominator };
}

/** "30000/1001"; undefined for "0/0" and the like. */
function parseFraction(text: string | undefined): { numerator: number; denominator: number } | undefined {
  const [numerator, denominator] = (text ?? "").split("/").map(Number);
  return numerator! > 0 && denominator! > 0 ? { numerator: numerator!, denominator: denominator! } : undefined;
}
