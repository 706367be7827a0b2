// `millrace seed export|import|stop`: chunks to and from an attached disk, or from a neighbour.
import { mkdirSync } from "node:fs";
import { resolve } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { SingleBar } from "cli-progress";
import { Command } from "commander";
import type { SeedProgress, SeedSelection } from "../appliance/fill-messages.js";
import { formatByteSize, parseByteSize } from "../runtime/byte-size.js";
import { messageOf, OperatingError } from "../runtime/operating-error.js";
import { askAppliance, defaultAdminUrl } from "./admin-request.js";

const progressEveryMs = 200;
/** An appliance that is restarted meanwhile goes on with it: so long it may be away. */
const awayMaxMs = 30_000;
const failuresPrinted = 10;

interface SeedOptions {
  admin: string;
  json?: true;
  wait: boolean;
}

export function seedCommand(): Command {
  const seed = new Command("seed")
    .summary("carry chunks to a cold appliance, by disk or from a neighbour")
    .description(
      "Carries chunks from an appliance to a cold one: by a disk that is carried there, or from a neighbour that runs.\nBoth appliances run meanwhile and serve.",
    );
  const common = (command: Command) =>
    command.option("--admin <url>", "the appliance's admin port", defaultAdminUrl).option("--json", "print JSON instead of text");
  common(seed.command("export").summary("copy held chunks into a folder"))
    .description(
      "Copies chunks that the appliance holds into a folder on its machine, best first: what the manifest keeps, in its order, then\nwhat is asked for most. The same command again goes on where it was stopped, and adds what is new.",
    )
    .argument("<folder>", "where to; it is made when it is not there")
    .option("--manifest", "what the manifest keeps (the default)")
    .option("--prefix <path>", "objects whose paths begin so")
    .option("--all", "everything")
    .option("--max-bytes <size>", "no more than this, such as 8TiB")
    .option("--no-wait", "begin, and do not wait for the end")
    .addHelpText("after", "\nExamples:\n  millrace seed export /mnt/usb/seed\n  millrace seed export /mnt/usb/seed --all --max-bytes 8TiB")
    .action(async (path: string, options: SeedOptions & { manifest?: true; prefix?: string; all?: true; maxBytes?: string }) => {
      const folder = resolve(path);
      const selection = selectionOf(options);
      const bytesMax = options.maxBytes === undefined ? null : sizeOf(options.maxBytes);
      try {
        mkdirSync(folder, { recursive: true });
      } catch (error) {
        throw new OperatingError("seed-refused", `Cannot export a seed to ${folder}: ${messageOf(error)}`, { source: folder });
      }
      await run(options, "seed/export", { folder, selection, bytesMax });
    });
  common(seed.command("import").summary("take chunks from a folder or a neighbour"))
    .description(
      "Takes the chunks of a seed into the appliance's disks, outside of its fill windows and rates. Every chunk is checked against the\n" +
        "origin's digests first. Which version of an object is right, the manifest or the upstreams say, not the seed.\n" +
        "What the manifest does not name is put into free space only. Neither a restart nor the end of this command stops it.",
    )
    .argument("[folder]", "what `millrace seed export` has written")
    .option("--from <appliance>", "appliance:HOST:PORT, a neighbour's data port: everything that it holds")
    .option("--no-wait", "begin, and do not wait for the end")
    .addHelpText(
      "after",
      "\nIt exits with 1 when something of the seed was refused.\n\nExamples:\n  millrace seed import /mnt/usb/seed\n  millrace seed import --from appliance:10.0.0.7:8080",
    )
    .action(async (path: string | undefined, options: SeedOptions & { from?: string }) => {
      const { from } = options;
      if ((path === undefined) === (from === undefined))
        throw new OperatingError("seed-refused", "Cannot import a seed: name a folder, or a neighbour with --from");
      await run(options, "seed/import", from === undefined ? { folder: resolve(path!) } : { from });
    });
  common(seed.command("stop").summary("stop an export or import"))
    .description("Stops the export or import that is under way. What was copied stays; the same command again goes on with it.")
    .action(async ({ admin, json }: SeedOptions) => {
      const stopped = await askAppliance<{ jobId: string | null }>(admin, "seed/stop", {});
      if (json) process.stdout.write(`${JSON.stringify(stopped, null, 2)}\n`);
      else process.stdout.write(stopped.jobId === null ? "Nothing is under way.\n" : "It is being stopped.\n");
    });
  return seed;
}

function selectionOf({ manifest, prefix, all }: { manifest?: true; prefix?: string; all?: true }): SeedSelection {
  if ([manifest, prefix, all].filter((one) => one !== undefined).length > 1)
    throw new OperatingError("seed-refused", "Cannot export a seed: choose one of --manifest, --prefix and --all");
  if (prefix !== undefined) return { what: "prefix", prefix };
  return { what: all ? "all" : "manifest" };
}

function sizeOf(text: string): number {
  const size = parseByteSize(text);
  if (size === undefined) throw new OperatingError("seed-refused", `Cannot export a seed: ${text} is not a size such as 8TiB`);
  return size;
}

async function run({ admin, json, wait: waits }: SeedOptions, action: string, request: unknown): Promise<void> {
  const { jobId } = await askAppliance<{ jobId: string }>(admin, action, request);
  const end = waits ? await follow(admin, jobId) : await readSeed(admin, jobId);
  process.stdout.write(json ? `${JSON.stringify(end, null, 2)}\n` : `${textOf(end)}\n`);
  if (end.state === "failed" || end.chunksFailed + end.objectsRefused > 0) process.exitCode = 1;
}

async function readSeed(admin: string, jobId: string): Promise<SeedProgress> {
  const { seed } = await askAppliance<{ seed: SeedProgress | null }>(admin, "status");
  if (seed?.jobId === jobId) return seed;
  throw new OperatingError("seed-unknown", "Cannot say how far it is: the appliance was restarted, or does something else by now");
}

async function follow(admin: string, jobId: string): Promise<SeedProgress> {
  const bar = process.stderr.isTTY
    ? new SingleBar({ stream: process.stderr, format: "{bar} {percentage} %  {done} of {of}  {rate}/s  {left}" })
    : undefined;
  let started = false;
  let awaySinceMs: number | undefined;
  try {
    for (;;) {
      try {
        const seed = await readSeed(admin, jobId);
        awaySinceMs = undefined;
        const { bytes, bytesThere, bytesLeft, bytesPerSecond, etaSeconds } = seed;
        const done = bytes + bytesThere;
        const total = bytesLeft === null ? done : done + bytesLeft;
        if (bar && !started) bar.start(Math.max(1, total), 0, { done: "", of: "", rate: "", left: "" });
        started = true;
        bar?.setTotal(Math.max(1, total));
        bar?.update(done, {
          done: formatByteSize(done),
          of: bytesLeft === null ? "what there is" : formatByteSize(total),
          rate: formatByteSize(bytesPerSecond),
          left: etaSeconds === null ? "" : `${etaSeconds} s left`,
        });
        if (seed.state !== "running") return seed;
      } catch (error) {
        if (!(error instanceof OperatingError) || (error.code !== "appliance-away" && error.code !== "seed-unknown")) throw error;
        awaySinceMs ??= performance.now();
        if (performance.now() - awaySinceMs > awayMaxMs) throw error;
      }
      await wait(progressEveryMs);
    }
  } finally {
    bar?.stop();
  }
}

function textOf(seed: SeedProgress): string {
  const { kind, state, reason, chunks, bytes, chunksThere, chunksFailed, objectsRefused, failed } = seed;
  const did = kind === "export" ? "exported" : "imported";
  const lines = [
    state === "running"
      ? `The ${kind} is under way; the same command again shows how far it is.`
      : `${chunks} chunks ${did} (${formatByteSize(bytes)})${chunksThere > 0 ? `; ${chunksThere} were there already` : ""}.`,
  ];
  if (state === "failed") lines.push(`The ${kind} has failed: ${reason}.`);
  else if (reason !== "") lines.push(`It has ended: ${reason}.`);
  if (chunksFailed + objectsRefused > 0) {
    lines.push(`${objectsRefused} objects were refused, and ${chunksFailed} chunks have failed:`);
    for (const one of failed.slice(0, failuresPrinted)) lines.push(`  ${one.path}: ${one.reason}`);
  }
  return lines.join("\n");
}
