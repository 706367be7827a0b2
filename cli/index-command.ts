// `millrace index check|rebuild`: looks after the index of an appliance that is not running.
import { SingleBar } from "cli-progress";
import Table from "cli-table3";
import { Command } from "commander";

/** The bar is moved this often at most; a disk gives thousands of slots a second. */
const barEveryMs = 200;

interface IndexOptions {
  config: string;
  bytes?: true;
  json?: true;
}

export function indexCommand(): Command {
  const index = new Command("index")
    .summary("check an appliance's index, or make it anew from the disks")
    .description("Looks after the index of an appliance. The appliance must not be running.");
  index
    .command("check")
    .summary("compare the index with the slots, in both directions")
    .description(
      "Compares the index with itself and with the slots of all disks, in both directions.\n" +
        "Exits with 1 when something is wrong and --fix was not given.",
    )
    .requiredOption("--config <file>", "YAML settings of the appliance")
    .option("--fix", "forget what is wrong, and take back chunks that lie in free slots")
    .option("--bytes", "read every chunk and compare its checksum, not only its header")
    .option("--json", "print JSON instead of tables")
    .addHelpText(
      "after",
      `
Examples:
  millrace index check --config appliance.yaml
  millrace index check --config appliance.yaml --bytes --fix`,
    )
    .action(async (options: IndexOptions & { fix?: true }) => {
      const { runIndexCheck, findingKinds } = await import("../appliance/index-maintenance.js");
      const bar = openBar("Checking");
      const report = await runIndexCheck(options.config, {
        fix: options.fix === true,
        wholeChunks: options.bytes === true,
        onProgress: bar.show,
      }).finally(bar.close);
      if (options.json) process.stdout.write(`${JSON.stringify(report, null, 2)}\n`);
      else {
        const table = new Table({ head: ["finding", "count", "such as"], colAligns: ["left", "right", "left"], style: plainStyle });
        for (const { kind, count, examples } of report.findings) table.push([findingKinds[kind], count, examples[0] ?? ""]);
        const { chunksToTakeBack, chunksOnDisksAway } = report;
        process.stdout.write(
          [
            ...(report.findings.length > 0 ? [table.toString()] : []),
            `${report.chunks} chunks in ${report.slots} slots checked in ${rateOf(report.slots, report.seconds)}.`,
            ...(chunksToTakeBack > 0
              ? [
                  `${chunksToTakeBack} free slots hold a chunk that is wanted${report.fixed ? "; they were taken back" : " (--fix takes them back)"}.`,
                ]
              : []),
            ...(chunksOnDisksAway > 0 ? [`${chunksOnDisksAway} chunks are on disks that are not there, and were not checked.`] : []),
            report.findings.length === 0
              ? "The index is clean."
              : report.fixed
                ? "All findings were put right."
                : "Run it with --fix to put this right.",
            "",
          ].join("\n"),
        );
      }
      if (report.findings.length > 0 && !report.fixed) process.exitCode = 1;
    });
  index
    .command("rebuild")
    .summary("make the index anew from the headers of all slots")
    .description(
      "Makes the index anew from the headers of all slots. Of two versions of an object, the one that was written last stays.\n" +
        "Disks from another appliance are adopted. The old index stays until the new one is whole.",
    )
    .requiredOption("--config <file>", "YAML settings of the appliance")
    .option("--bytes", "read every chunk and leave out those with a wrong checksum; otherwise reads find them later")
    .option("--json", "print JSON instead of text")
    .addHelpText(
      "after",
      `
Examples:
  millrace index rebuild --config appliance.yaml
  millrace index rebuild --config appliance.yaml --json`,
    )
    .action(async (options: IndexOptions) => {
      const { runIndexRebuild } = await import("../appliance/index-maintenance.js");
      const bar = openBar("Reading slots");
      const report = await runIndexRebuild(options.config, { wholeChunks: options.bytes === true, onProgress: bar.show }).finally(
        bar.close,
      );
      if (options.json) {
        process.stdout.write(`${JSON.stringify(report, null, 2)}\n`);
        return;
      }
      const { chunks, objects, slots, seconds, unusable, disksAway, oldIndexUnreadable } = report;
      process.stdout.write(
        [
          `The new index has ${chunks} chunks of ${objects} objects, from ${slots} slots in ${rateOf(slots, seconds)}.`,
          ...(unusable > 0 ? [`${unusable} slots are damaged and count as free.`] : []),
          ...(disksAway.length > 0 ? [`Not there, and not in the index now: ${disksAway.join(", ")}.`] : []),
          ...(oldIndexUnreadable ? [`Nothing was kept of the old index: ${oldIndexUnreadable}`] : []),
          "",
        ].join("\n"),
      );
    });
  return index;
}

const plainStyle = { head: [], border: [], compact: true };

function rateOf(slots: number, seconds: number): string {
  return `${seconds.toFixed(1)} s (${Math.round(slots / Math.max(seconds, 0.001))} slots/s)`;
}

/** A bar on a terminal's standard error; nothing elsewhere. */
function openBar(label: string) {
  let bar: SingleBar | undefined;
  let shownAtMs = 0;
  return {
    show: (extents: number, ofExtents: number) => {
      if (!process.stderr.isTTY) return;
      if (!bar) {
        bar = new SingleBar({
          stream: process.stderr,
          format: `${label} {bar} {percentage} %  {value} of {total} extents  {eta_formatted} left`,
        });
        bar.start(ofExtents, extents);
      }
      if (performance.now() - shownAtMs < barEveryMs && extents < ofExtents) return;
      shownAtMs = performance.now();
      bar.update(extents);
    },
    close: () => bar?.stop(),
  };
}
