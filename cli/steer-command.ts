// `millrace steer explain`: asks the control plane where it would send a client, and why.
import type { ExplainOptions } from "./explain-steering.js";
import { Command, Option } from "commander";

export function steerCommand(): Command {
  const steer = new Command("steer").summary("ask where clients are sent, and why").description("Asks where clients are sent, and why.");
  steer
    .command("explain")
    .summary("rank the appliances for one client")
    .description("Ranks the appliances for one client and one title (or one object), with the reason for each place and each rejection.")
    .option("--control-plane <url>", "the control plane to ask", "grpc://127.0.0.1:7000")
    .requiredOption("--client <address>", "IPv4 or IPv6 address of the client")
    .addOption(new Option("--title <id>", "a title of the catalog").conflicts("path"))
    .option("--path <path>", "one object instead of a title")
    .option("--json", "print JSON instead of tables")
    .addHelpText(
      "after",
      `
Letters of rejection:
  H   health: offline, draining, starting or full. Never sent to a player.
  C   content: does not hold everything. Ranked after those that do, and reads through.

Examples:
  millrace steer explain --client 10.1.2.3 --title demo
  millrace steer explain --client 2001:db8::1 --path film/video-720.mp4 --json`,
    )
    .action(async (options: ExplainOptions) => {
      // Loaded here, so that other commands don't wait for it.
      const { explainSteering } = await import("./explain-steering.js");
      await explainSteering(options);
    });
  return steer;
}
