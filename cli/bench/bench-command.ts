// `millrace bench`: measures a server, or several beside each other, and compares results.
import { Command } from "commander";
import { peerNames } from "../../bench/peers/peer-names.js";
import { benchFiguresCommand } from "./bench-figures-command.js";
import { benchFilesCommand } from "./bench-files-command.js";
import { benchFillCommand } from "./bench-fill-command.js";
import { benchGeneratorCommand } from "./bench-generator-command.js";
import { benchPeersCommand } from "./bench-peers-command.js";
import { benchPlayersCommand } from "./bench-players-command.js";
import { benchPoliciesCommand } from "./bench-policies-command.js";
import { benchPopularityCommand } from "./bench-popularity-command.js";
import { benchReportCommand } from "./bench-report-command.js";
import { benchSteeringCommand } from "./bench-steering-command.js";
import { addLoadOptions, typedFlags } from "./load-options.js";
import { integer, percent } from "./option-values.js";
import { addOutputOptions } from "./output-options.js";
import type { BenchOptions } from "./run-bench.js";

const examples = `
Examples:
  millrace bench                                       the canonical workloads on a server it starts (under 3 minutes)
  millrace bench --list                                what there is
  millrace bench files ./objects                       make the objects, then let your server serve ./objects and
  millrace bench http://cache.example/objects/         measure it
  millrace bench https://10.0.0.7/o/ -w zipf --alpha 0.8 --rate 2000 --json > today.json
  millrace bench http://10.0.0.7/o/ -w disk-loss --at 50% --run 'ssh root@10.0.0.7 "echo 1 > /sys/block/sdc/device/delete"'
  millrace bench http://127.0.0.1:8080/ -w cold --server-files /mnt/disk1 /mnt/disk2
  millrace bench --compare yesterday.json today.json
  millrace bench peers                                 nginx, Varnish, the bare floor and the appliance side by side`;

/** `millrace bench` and what is below it. */
export function benchCommand(): Command {
  const command = new Command("bench")
    .summary("measure a video server, or several beside each other")
    .description("Measure a video server: throughput, latency, errors, wrong bytes, and what the server spent.")
    .argument("[url]", "base URL of the objects; without it the bench starts a server on this machine")
    .option("--list", "show the named workloads and the flags they stand for")
    .option("--compare <a> <b>", "compare two results: ratios with the spread over their rounds")
    .option("-w, --workload <name...>", "named workloads to run instead of the canonical ones")
    .option("--server <name>", `server to start where no URL is given: ${peerNames.join(", ")}`)
    .option("--https", "with a server that the bench starts: measure over HTTPS (TLS 1.3)")
    .option("--ca <file>", "certificates to trust, PEM")
    .option("--insecure", "accept any certificate")
    .option("-H, --header <line...>", 'header to send with each request: "Name: value"')
    .option("--catalog <file>", "JSON catalog of the server's objects (default: the server's catalog.json)")
    .option("--pid <pid>", "process of the local server, with its children (default: found by the port)", integer)
    .option("--metrics <url>", "the server's Prometheus metrics, for a server on another machine")
    .option("--server-files <folder...>", "what the server reads while it serves, on this machine: for --page-cache dropped")
    .option("--at <percent>", "when in the run --run is started, such as 50%", percent)
    .option("--run <command>", "shell command to start in mid-run; figures are given for before and after");
  addLoadOptions(command);
  addOutputOptions(command);
  command.addHelpText("after", examples).action(async (url: string | undefined, options: BenchOptions, self: Command) => {
    // Loaded when it runs: the whole bench is behind it.
    const { runBench } = await import("./run-bench.js");
    await runBench(url, { ...options, typed: typedFlags(self) });
  });
  command.addCommand(benchPeersCommand());
  command.addCommand(benchFiguresCommand());
  command.addCommand(benchFilesCommand());
  command.addCommand(benchFillCommand());
  command.addCommand(benchGeneratorCommand());
  command.addCommand(benchPoliciesCommand());
  command.addCommand(benchPopularityCommand());
  command.addCommand(benchPlayersCommand());
  command.addCommand(benchSteeringCommand());
  command.addCommand(benchReportCommand());
  return command;
}
