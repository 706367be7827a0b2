// Makes film/clock/, the film that ships with Millrace: a minute of a moving clock, a frame counter and a beep every second, all generated.
// Run `npm run setup` once, then `node film/make-film.mjs`. Needs ffmpeg with drawtext and any font that fontconfig finds (on Debian 12
// `apt-get install ffmpeg` brings fonts-dejavu-core along).
import { mkdir, mkdtemp, readdir, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { runMediaProgram } from "../dist/control-plane/ingest/media-program.js";
import { packageVideo } from "../dist/control-plane/ingest/package-video.js";

const seconds = 60;
const framesPerSecond = 25;
const [width, height] = [960, 540];
const dial = 400;
/** So that the film stays within 8 MB of repository: (110 + 260 + 460 + 48) kb/s for a minute are 6.6 MB at most. */
const ladder = [
  { lines: 180, maxBitsPerSecond: 110_000 },
  { lines: 360, maxBitsPerSecond: 260_000 },
  { lines: 540, maxBitsPerSecond: 460_000 },
];
const audioBitsPerSecond = 48_000;

const home = fileURLToPath(new URL("clock/", import.meta.url));
const scratch = await mkdtemp(join(tmpdir(), "millrace-film-"));
const signal = new AbortController().signal;
try {
  const source = join(scratch, "clock.mkv");
  console.log("Drawing the clock …");
  await runMediaProgram("ffmpeg", drawArguments(source), { purpose: "draw the clock", signal });
  console.log("Packaging …");
  await rm(home, { recursive: true, force: true });
  await mkdir(home);
  await packageVideo(source, { folder: home, name: "clock", signal, ladder, audioBitsPerSecond });
} finally {
  await rm(scratch, { recursive: true });
}
let totalBytes = 0;
for (const name of (await readdir(home)).sort()) {
  const { size } = await stat(join(home, name));
  totalBytes += size;
  console.log(`${String(size).padStart(9)}  film/clock/${name}`);
}
console.log(`${String(totalBytes).padStart(9)}  bytes in all`);

function drawArguments(target) {
  const time = `r=${framesPerSecond}:d=${seconds}`;
  const centre = dial / 2;
  const text = (what, size, colour, y) => `drawtext=font=monospace:text='${what}':fontsize=${size}:fontcolor=${colour}:x=500:y=${y}`;
  // A hand is a box in a transparent square, turned about the square's centre.
  const hand = (colour, boxWidth, boxHeight, top) =>
    `color=c=${colour}:s=${boxWidth}x${boxHeight}:${time},format=rgba,pad=${dial}:${dial}:${(dial - boxWidth) / 2}:${top}:color=black@0`;
  // One ring and twelve strokes, computed for a single frame: alpha by distance and angle from the centre.
  const radius = `hypot(X-${centre},Y-${centre})`;
  const angle = `atan2(Y-${centre},X-${centre})`;
  const stroke = `lt(abs(mod(${angle}*6/PI+12.5,1)-0.5)*${radius}*PI/6,3)`;
  const face = `if(between(${radius},188,192)+between(${radius},164,182)*${stroke},230,if(lt(${radius},188),60,0))`;
  const inputs = [
    `gradients=s=${width / 2}x${height / 2}:${time}:c0=0x0b1d3a:c1=0x13576f:c2=0x3a1060:c3=0x0b1d3a:n=4:seed=7:speed=0.004:x0=0:y0=0:x1=${width / 2}:y1=${height / 2}`,
    `color=c=white:s=${dial}x${dial}:r=${framesPerSecond}:d=0.04,format=rgba,geq=r=255:g=255:b=255:a='${face}',loop=-1:1:0`,
    hand("0xffd166", 10, 170, 50),
    hand("0xef476f", 24, 24, 12),
    `color=c=0xffd166:s=${width}x8:${time}`,
    // A low hum, a beep of 80 ms at every second, a higher one at every tenth.
    `aevalsrc='0.02*sin(2*PI*110*t)+0.35*sin(2*PI*if(lt(mod(t,10),0.5),1320,880)*t)*lt(mod(t,1),0.08)':s=48000:d=${seconds}`,
  ];
  const place = `x=50:y=${(height - dial) / 2}`;
  const graph = [
    `[0:v]scale=${width}:${height}:flags=bicubic,format=yuv420p[ground]`,
    `[2:v]rotate=a='2*PI*t/${seconds}':c=none[minute]`,
    "[3:v]rotate=a='2*PI*t':c=none[second]",
    `[ground][1:v]overlay=${place}:shortest=1[a]`,
    `[a][minute]overlay=${place}[b]`,
    `[b][second]overlay=${place}[c]`,
    `[c][4:v]overlay=x='-w+w*t/${seconds}':y=${height - 8},${[
      text("MILLRACE", 30, "0x9fd3ff", 110),
      text("%{eif\\:t/60\\:d\\:2}\\:%{eif\\:mod(t\\,60)\\:d\\:2}.%{eif\\:mod(n\\,25)\\:d\\:2}", 76, "white", 190),
      text("frame %{eif\\:n\\:d\\:4}", 40, "white", 300),
      text("beep", 40, "0xffd166", 370).concat(":enable='lt(mod(t,1),0.08)'"),
    ].join(",")},format=yuv420p[picture]`,
  ];
  return [
    ["-hide_banner", "-nostdin", "-v", "error"],
    inputs.flatMap((input) => ["-f", "lavfi", "-i", input]),
    ["-filter_complex", graph.join(";"), "-map", "[picture]", "-map", "5:a", "-t", String(seconds)],
    // As good as lossless: the packaging encodes it once more.
    ["-c:v", "libx264", "-preset", "veryfast", "-crf", "8", "-c:a", "pcm_s16le", target],
  ].flat();
}
