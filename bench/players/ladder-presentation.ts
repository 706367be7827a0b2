// A ladder without playlists: ranges of any files, as long as a segment of that bitrate would be.
import { OperatingError } from "../../runtime/operating-error.js";
import type { MediaGetter, MediaTrack, Presentation } from "./media-range.js";

export interface LadderRung {
  bitsPerSecond: number;
  /** Relative to the base URL; "" is the URL that the player was given. */
  url: string;
}

export interface LadderOptions {
  /** Rising by bitrate. */
  rungs: readonly LadderRung[];
  segmentSeconds: number;
  /** Of the presentation. */
  durationSeconds: number;
}

const bitUnits: Readonly<Record<string, number>> = { "": 1, k: 1e3, m: 1e6, g: 1e9 };
const rungsMax = 32;

/** Reads "400k,1.2M,6M" or "400k=low.mp4,1.2M=high.mp4" (bits per second; k, M, G are powers of 1000). Throws OperatingError "bad-flag". */
export function parseLadder(text: string): LadderRung[] {
  const rungs = text.split(",").map((part) => {
    const match = /^\s*(\d+(?:\.\d+)?)([kmg]?)(?:=(\S+))?\s*$/i.exec(part);
    const bitsPerSecond = match ? Math.round(Number(match[1]) * bitUnits[match[2]!.toLowerCase()]!) : 0;
    if (!match || bitsPerSecond < 1) {
      throw new OperatingError("bad-flag", `Cannot use --ladder: "${part.trim()}" is not a bitrate such as 1.2M, nor 1.2M=file.mp4`);
    }
    return { bitsPerSecond, url: match[3] ?? "" };
  });
  if (rungs.length > rungsMax) throw new OperatingError("bad-flag", `Cannot use --ladder: it has more than ${rungsMax} rungs`);
  return rungs.sort((a, b) => a.bitsPerSecond - b.bitsPerSecond);
}

/** Segments follow each other in the file; where it ends, they begin again at its start. */
export function openLadder(getter: MediaGetter, { rungs, segmentSeconds, durationSeconds }: LadderOptions): Presentation {
  return {
    bitsPerSecond: rungs.map(({ bitsPerSecond }) => bitsPerSecond),
    loadVideo: async (rung) => trackOf(rungs[rung]!, await getter.getLength(referencesOf(rungs[rung]!))),
    loadAudio: async () => null,
  };

  function trackOf(rung: LadderRung, fileBytes: number): MediaTrack {
    const { bitsPerSecond, url } = rung;
    const bytes = Math.max(1, Math.round((bitsPerSecond * segmentSeconds) / 8));
    if (fileBytes < bytes) {
      const reason = `${url || "the URL"} has ${fileBytes} bytes, less than one segment of ${bytes}`;
      throw new OperatingError("ladder-unplayable", `Cannot play: ${reason}`);
    }
    const perFile = Math.floor(fileBytes / bytes);
    const segments = Array.from({ length: Math.ceil(durationSeconds / segmentSeconds) }, (_, index) => ({
      references: referencesOf(rung),
      range: { firstByte: (index % perFile) * bytes, bytes },
      startSeconds: index * segmentSeconds,
      endSeconds: (index + 1) * segmentSeconds,
    }));
    return { initialization: null, segments };
  }
}

function referencesOf({ url }: LadderRung): string[] {
  return url === "" ? [] : [url];
}
