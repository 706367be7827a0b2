// `millrace ingest`: puts a film into the origin and the catalog.
import { SingleBar } from "cli-progress";
import Table from "cli-table3";
import { Command, InvalidArgumentError, Option } from "commander";
import { ingest, type IngestedTitle } from "../control-plane/ingest/ingest.js";
import { formatByteSize, parseByteSize } from "../runtime/byte-size.js";

/** chunk_bytes is 32 bits on the wire, and a chunk must fit into memory at every tier. */
const maxChunkBytes = 2 ** 30;
const listedUnnamed = 5;

interface IngestCommandOptions {
  titleId?: string;
  name?: string;
  origin: string;
  chunk: number;
  controlPlane?: string;
  json?: boolean;
}

export function ingestCommand(): Command {
  return new Command("ingest")
    .summary("put a film into an origin and the catalog")
    .description(
      "Put a film into an origin: check it, copy it, make the digests of every chunk, and tell the catalog.\n\n" +
        "PATH is a folder with packaged HLS and/or DASH, or one video file, which ffmpeg packages first.\n" +
        "The title changes in one step; ingesting the same bytes again changes nothing.",
    )
    .argument("<path>", "packaged folder or video file")
    .option("--title-id <id>", "lower-case letters, digits and dashes (default: from PATH)")
    .option("--name <text>", "the title's name for people (default: from PATH)")
    .option("--origin <dir>", "folder that the origin serves", "./var/origin")
    .addOption(new Option("--chunk <size>", "bytes per digest").argParser(parseChunk).default(64 * 2 ** 10, "64KiB"))
    .option("--control-plane <url>", "publish to the catalog there: grpc://host:port")
    .option("--json", "print the result as JSON")
    .addHelpText(
      "after",
      `
Examples:
  millrace ingest film/clock
  millrace ingest holiday.mkv --title-id holiday --name "Our holiday"
  millrace ingest ./packaged/big-film --origin /srv/origin --control-plane grpc://127.0.0.1:7000`,
    )
    .action(async (path: string, options: IngestCommandOptions) => {
      const stop = new AbortController();
      let stoppedBy: NodeJS.Signals | undefined;
      for (const signal of ["SIGINT", "SIGTERM"] as const)
        process.once(signal, () => {
          stoppedBy = signal;
          stop.abort();
        });
      const progress = openProgress();
      let title: IngestedTitle;
      try {
        const { chunk: chunkBytes, json: _, ...rest } = options;
        title = await ingest({ ...rest, path, chunkBytes, signal: stop.signal, onProgress: progress.show });
      } catch (error) {
        progress.close();
        if (error !== stop.signal.reason) throw error;
        process.stderr.write(`Stopped: nothing was changed in ${options.origin}\n`);
        process.exit(stoppedBy === "SIGINT" ? 130 : 143);
      }
      progress.close();
      if (title.unnamed.length > 0) {
        const more = title.unnamed.length > listedUnnamed ? ", …" : "";
        process.stderr.write(`Left out, since no playlist names them: ${title.unnamed.slice(0, listedUnnamed).join(", ")}${more}\n`);
      }
      process.stdout.write(options.json ? `${JSON.stringify(title, null, 2)}\n` : describe(title, options));
    });
}

function parseChunk(text: string): number {
  const bytes = parseByteSize(text);
  if (bytes === undefined || bytes < 1 || bytes > maxChunkBytes)
    throw new InvalidArgumentError(`Expected 1 byte to ${formatByteSize(maxChunkBytes)}, such as 1MiB.`);
  return bytes;
}

/** A bar on a terminal's standard error, one after the other per stage; nothing elsewhere. */
function openProgress() {
  let bar: SingleBar | undefined;
  let shown: string | undefined;
  return {
    show: (stage: "package" | "store", done: number, total: number) => {
      if (!process.stderr.isTTY) return;
      if (shown !== stage) {
        bar?.stop();
        const [label, amount] =
          stage === "package"
            ? ["Packaging", (value: number) => `${value.toFixed(0)} s`]
            : ["Storing  ", (value: number) => formatByteSize(value)];
        bar = new SingleBar({
          stream: process.stderr,
          clearOnComplete: false,
          hideCursor: true,
          format: `${label} {bar} {percentage} %  {value} of {total}  {eta_formatted} left`,
          // Until it has seen two different values it guesses infinity.
          formatTime: (seconds) => (Number.isFinite(Number(seconds)) ? `${seconds} s` : "? s"),
          formatValue: (value, _, type) => (type === "value" || type === "total" ? amount(value) : String(value)),
        });
        bar.start(total, done);
        shown = stage;
      }
      bar?.update(done);
    },
    close: () => bar?.stop(),
  };
}

function describe(title: IngestedTitle, options: IngestCommandOptions): string {
  const table = new Table({
    head: ["path", "size", "chunks", "etag"],
    colAligns: ["left", "right", "right", "left"],
    style: { head: [], border: [], compact: true },
  });
  for (const { path, sizeBytes, chunks, etag } of title.objects) table.push([path, formatByteSize(sizeBytes), chunks, etag]);
  const state = title.changed ? `is now in ${options.origin}` : `was in ${options.origin} already, unchanged`;
  const seconds = title.durationSeconds.toFixed(1);
  return [
    table.toString(),
    `"${title.name}" (${title.titleId}): ${seconds} s, ${title.objects.length} objects, ${formatByteSize(title.sizeBytes)}; it ${state}.`,
    options.controlPlane === undefined
      ? "No catalog was told (--control-plane grpc://host:port tells one)."
      : `The catalog at ${options.controlPlane} has it.`,
    "",
  ].join("\n");
}
