// `millrace disk list|add|retire`: the disks of an appliance that is running on this machine.
import { setTimeout as wait } from "node:timers/promises";
import { SingleBar } from "cli-progress";
import Table from "cli-table3";
import { Command } from "commander";
import { formatByteSize } from "../runtime/byte-size.js";
import { OperatingError } from "../runtime/operating-error.js";
import { askAppliance, defaultAdminUrl } from "./admin-request.js";

const progressEveryMs = 500;

interface DiskOptions {
  admin: string;
  json?: true;
}

/** A row of `disks` in /status. */
interface DiskStatus {
  path: string;
  uuid: string;
  state: string;
  retiring: boolean;
  full: boolean;
  capacityBytes: number;
  usedBytes: number;
  keptBytes: number;
  badSlots: number;
  errors: number;
  lateReads: number;
  readP99Ms: number | null;
  reason: string;
  emptying: { moved: number; lost: number; left: number } | null;
}

export function diskCommand(): Command {
  const disk = new Command("disk")
    .summary("list, add and retire the disks of a running appliance")
    .description("Looks after the disks of an appliance that is running on this machine, through its admin port.");
  const common = (command: Command) =>
    command.option("--admin <url>", "the appliance's admin port", defaultAdminUrl).option("--json", "print JSON instead of tables");
  common(disk.command("list").summary("show every disk, its state and why"))
    .description(
      "Shows every disk: its state and why, how full it is, how much of that the manifest names (kept; the rest may be evicted),\nits read p99 over the last ten seconds, errors, late reads, and slots that did not hold their chunks.",
    )
    .action(async ({ admin, json }: DiskOptions) => {
      const { disks } = await askAppliance<{ disks: DiskStatus[] }>(admin, "status");
      process.stdout.write(json ? `${JSON.stringify(disks, null, 2)}\n` : `${tableOf(disks)}\n`);
    });
  common(disk.command("add").summary("take a disk into use"))
    .description("Takes a disk into use: an empty folder, or a disk that was retired. Chunks come to it as they are fetched.")
    .argument("<path>", "folder where the disk is mounted")
    .requiredOption("--size <size>", "how much of it to use, such as 20GiB")
    .addHelpText("after", "\nExample:\n  millrace disk add /mnt/disk7 --size 16TiB")
    .action(async (path: string, { admin, json, size }: DiskOptions & { size: string }) => {
      const added = await askAppliance<{ uuid: string; capacityBytes: number; notes: string[] }>(admin, "disks/add", { path, size });
      if (json) process.stdout.write(`${JSON.stringify(added, null, 2)}\n`);
      else
        process.stdout.write(`${path} is in use now (${formatByteSize(added.capacityBytes)}, ${added.uuid}).\n${added.notes.join("\n")}\n`);
    });
  common(disk.command("retire").summary("move a disk's chunks away, so that it can be pulled"))
    .description(
      "Moves a disk's chunks to the other disks, and says when it is safe to pull. Requests are served meanwhile.\n" +
        "Stopping this command does not stop the move; neither does a restart of the appliance.",
    )
    .argument("<disk>", "its path or its uuid")
    .option("--no-wait", "begin, and do not wait for the end")
    .addHelpText("after", "\nExample:\n  millrace disk retire /mnt/disk7")
    .action(async (path: string, { admin, json, wait: waits }: DiskOptions & { wait: boolean }) => {
      const begun = await askAppliance<{ path: string; uuid: string; chunks: number }>(admin, "disks/retire", { path });
      if (waits) await waitUntilEmpty(admin, begun);
      const { disks } = await askAppliance<{ disks: DiskStatus[] }>(admin, "status");
      const now = disks.find(({ uuid }) => uuid === begun.uuid);
      if (json) process.stdout.write(`${JSON.stringify(now, null, 2)}\n`);
      else if (now?.state === "retired") {
        const { moved = 0, lost = 0 } = now.emptying ?? {};
        process.stdout.write(
          `${begun.path} is empty (${moved} chunks moved${lost > 0 ? `, ${lost} could not be read` : ""}). It is safe to pull; take it out of \`disks\` in the settings file.\n`,
        );
      } else process.stdout.write(`${begun.path} is being emptied; \`millrace disk list\` shows how far it is.\n`);
    });
  return disk;
}

async function waitUntilEmpty(admin: string, { uuid, path, chunks }: { uuid: string; path: string; chunks: number }): Promise<void> {
  const bar = process.stderr.isTTY
    ? new SingleBar({ stream: process.stderr, format: `Emptying {bar} {percentage} %  {value} of {total} chunks  {eta_formatted} left` })
    : undefined;
  bar?.start(chunks, 0);
  try {
    for (;;) {
      const { disks } = await askAppliance<{ disks: DiskStatus[] }>(admin, "status");
      const now = disks.find((disk) => disk.uuid === uuid);
      if (!now || now.state === "retired") return;
      if (!now.retiring) throw new OperatingError("retire-ended", `Cannot go on: ${path} is not being retired any more`, { source: path });
      bar?.update(Math.max(0, chunks - (now.emptying?.left ?? chunks)));
      await wait(progressEveryMs);
    }
  } finally {
    bar?.stop();
  }
}

function tableOf(disks: readonly DiskStatus[]): string {
  const table = new Table({
    head: ["disk", "state", "used", "of", "kept", "p99", "errors", "late", "bad slots", "why"],
    colAligns: ["left", "left", "right", "right", "right", "right", "right", "right", "right", "left"],
    style: { head: [], border: [], compact: true },
  });
  for (const disk of disks) {
    table.push([
      disk.path,
      disk.state + (disk.retiring ? ", retiring" : "") + (disk.full ? ", full" : ""),
      formatByteSize(disk.usedBytes),
      formatByteSize(disk.capacityBytes),
      formatByteSize(disk.keptBytes),
      disk.readP99Ms === null ? "-" : `${disk.readP99Ms.toFixed(1)} ms`,
      disk.errors,
      disk.lateReads,
      disk.badSlots,
      disk.retiring && disk.emptying ? `${disk.emptying.left} chunks left to move` : disk.reason,
    ]);
  }
  return table.toString();
}
