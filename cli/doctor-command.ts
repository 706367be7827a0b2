// `millrace doctor`: is this box fit to serve? The turn-up checks from the box's side, and the server's with them.
import { Command } from "commander";
import { defaultAdminUrl } from "./admin-request.js";
import type { DoctorOptions } from "./examine-box.js";

export function doctorCommand(): Command {
  return new Command("doctor")
    .summary("check whether a box is fit to serve")
    .description(
      "Checks an appliance on this machine: ports, TLS, clock, disks, upstreams and their rate, routes. With --control-plane also from there.",
    )
    .requiredOption("--config <file>", "the appliance's settings file")
    .option("--admin <url>", "admin port of the running appliance", defaultAdminUrl)
    .option(
      "--control-plane <url>",
      "let this control plane check the box too, and turn it up when all is green (default: that of the settings)",
    )
    .option("--probe <path>", "an object that the upstreams have: their rate is measured with it")
    .option("--min-rate <megabits>", "what an upstream must give to be green, in Mb/s", "100")
    .option("--json", "print JSON instead of a table")
    .addHelpText(
      "after",
      `
Exits with 1 when a check is red. Without a control plane only the box's own checks are made.

Examples:
  millrace doctor --config appliance.yaml
  millrace doctor --config appliance.yaml --probe film/video-720.mp4 --min-rate 1200 --json`,
    )
    .action(async (options: DoctorOptions) => {
      // Loaded here, so that other commands don't wait for it.
      const { examineBox } = await import("./examine-box.js");
      await examineBox(options);
    });
}
