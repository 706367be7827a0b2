// `millrace steer explain`: asks the control plane where it would send a client, and why.
import type { ExplainOptions } from "./explain-steering.js";
import type { ReplayCommandOptions } from "./replay-logs.js";
import { Command, Option } from "commander";

export function steerCommand(): Command {
  const steer = new Command("steer").summary("ask where clients are sent, and why").description("Asks where clients are sent, and why.");
  steer
    .command("explain")
    .summary("rank the appliances for one client")
    .description("Ranks the appliances for one client and one title (or one object), with the reason for each place and each rejection.")
    .option("--control-plane <url>", "the control plane to ask", "grpc://127.0.0.1:7000")
    .requiredOption("--client <address>", "IPv4 or IPv6 address of the client")
    .addOption(new Option("--title <id>", "a title of the catalog").conflicts("object"))
    .option("--object <path>", "one object instead of a title")
    .option("--json", "print JSON instead of tables")
    .addHelpText(
      "after",
      `
Letters of rejection:
  H   health: offline, draining, starting or full. Never sent to a player.
  C   content: does not hold everything. Ranked after those that do, and reads through.

Examples:
  millrace steer explain --client 10.1.2.3 --title demo
  millrace steer explain --client 2001:db8::1 --object film/video-720.mp4 --json`,
    )
    .action(async (options: ExplainOptions) => {
      // Loaded here, so that other commands don't wait for it.
      const { explainSteering } = await import("./explain-steering.js");
      await explainSteering(options);
    });
  steer
    .command("replay <log...>")
    .summary("play a decision log again without a site")
    .description(
      "Plays logged decisions again as if sites were gone: what moves, who gets more than its network carries, what nobody left holds.",
    )
    .requiredOption("--without <site...>", "sites that are gone")
    .option("--session-max <duration>", "how long a session lasts whose end is not in the log", "2h")
    .option("--json", "print JSON instead of tables")
    .addHelpText(
      "after",
      `
Logs are read in the order given, oldest first; steering.decisionLog of the control plane's settings writes them.

Examples:
  millrace steer replay var/decisions.jsonl --without isp-1
  millrace steer replay var/decisions.jsonl.2 var/decisions.jsonl.1 var/decisions.jsonl --without isp-1 isp-2 --json`,
    )
    .action(async (logs: string[], options: ReplayCommandOptions) => {
      const { replayLogs } = await import("./replay-logs.js");
      await replayLogs(logs, options);
    });
  return steer;
}
