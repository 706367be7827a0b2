// Chooses the renditions in which a film is offered.

export interface LadderRung {
  /** Pixels on the picture's short side: 540 is 960x540, and 540x960 for a film that stands upright. */
  lines: number;
  /** Upper bound of the rate, held over two seconds; quiet scenes take less. */
  maxBitsPerSecond: number;
}

/** For films of any kind, H.264 at 24 to 30 frames a second. */
export const defaultLadder: readonly LadderRung[] = [
  { lines: 240, maxBitsPerSecond: 300_000 },
  { lines: 360, maxBitsPerSecond: 700_000 },
  { lines: 480, maxBitsPerSecond: 1_200_000 },
  { lines: 720, maxBitsPerSecond: 2_800_000 },
  { lines: 1080, maxBitsPerSecond: 5_000_000 },
  { lines: 1440, maxBitsPerSecond: 9_000_000 },
  { lines: 2160, maxBitsPerSecond: 16_000_000 },
];

export interface Rendition {
  /** "540p"; in file names. */
  name: string;
  width: number;
  height: number;
  maxBitsPerSecond: number;
}

/**
 * The renditions for a source of `width` by `height` square pixels, lowest first. Never larger than the source; a source below the lowest
 * rung gets one rendition of its own size. Sides are even, as H.264 with 4:2:0 colour wants them.
 */
export function chooseRenditions(source: { width: number; height: number }, ladder: readonly LadderRung[]): Rendition[] {
  const sourceLines = Math.min(source.width, source.height);
  const rungs = ladder.filter(({ lines }) => lines <= sourceLines).sort((a, b) => a.lines - b.lines);
  const lowest = [...ladder].sort((a, b) => a.lines - b.lines)[0];
  if (rungs.length === 0 && lowest) rungs.push({ lines: sourceLines, maxBitsPerSecond: lowest.maxBitsPerSecond });
  return rungs.map(({ lines, maxBitsPerSecond }) => {
    const scale = lines / sourceLines;
    return { name: `${lines}p`, width: evenPixels(source.width * scale), height: evenPixels(source.height * scale), maxBitsPerSecond };
  });
}

function evenPixels(pixels: number): number {
  return Math.max(2, Math.round(pixels / 2) * 2);
}
