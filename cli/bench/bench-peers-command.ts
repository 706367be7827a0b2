// `millrace bench peers`: servers side by side on this machine.
import { Command, Option } from "commander";
import { peerNames } from "../../bench/peers/peer-names.js";
import { addLoadOptions, typedFlags, type LoadOptions } from "./load-options.js";
import { addOutputOptions, type OutputOptions } from "./output-options.js";

/** `millrace bench peers`. */
export function benchPeersCommand(): Command {
  const command = new Command("peers")
    .summary("measure servers side by side: nginx, Varnish, Traffic Server, the bare floor, the appliance")
    .description("Measure servers side by side on this machine: same files, same certificate, one core each, in turns.")
    .option("-p, --peer <name...>", `servers to run: ${peerNames.join(", ")} (default: all that are installed)`)
    .option("-w, --workload <name...>", "workloads to run", ["ranges-64k", "ranges-512k", "ranges-2m"])
    .addOption(new Option("--scheme <scheme...>", "protocols to run").choices(["http", "https"]).default(["http", "https"]));
  addLoadOptions(command);
  addOutputOptions(command);
  command.addHelpText(
    "after",
    `
Examples:
  millrace bench peers
  millrace bench peers -p nginx floor --scheme https -w ranges-512k --rounds 5 --json > https.json`,
  );
  return command.action(async (_options: unknown, self: Command) => {
    const [{ findPeer }, { runOnPeers }, { ResultBuilder }, { findWorkload }, { coresOf, measure }] = await Promise.all([
      import("../../bench/peers/peer-table.js"),
      import("../../bench/peers/run-on-peers.js"),
      import("../../bench/report/result-builder.js"),
      import("../../bench/workloads/workload-table.js"),
      import("./measure.js"),
    ]);
    const options = self.opts<LoadOptions & OutputOptions & { peer?: string[]; workload: string[]; scheme: ("http" | "https")[] }>();
    const chosen = (options.peer ?? peerNames).map(findPeer);
    const steps = options.scheme.flatMap((scheme) => options.workload.map((name) => ({ workload: findWorkload(name), scheme })));
    const result = new ResultBuilder("peers", process.argv.slice(2));
    await measure(result, options, (signal) =>
      runOnPeers(
        {
          peers: chosen,
          steps,
          signal,
          workers: options.workers,
          generator: options.generator,
          typed: {
            duration: "5s",
            ...typedFlags(self),
          },
          cores: coresOf(options),
          files: options.keepFiles ?? null,
          memoryBytes: options.memory ?? null,
          midRun: null,
        },
        result,
      ),
    );
  });
}
