// `millrace fill`: what appliances should hold and why, and what was not served as it should have been.
import { Command } from "commander";
import { defaultAdminUrl } from "./admin-request.js";
import type { FillStatusOptions } from "./show-fill-status.js";
import type { MissesOptions, PinOptions, PlanOptions } from "./show-fill-plan.js";

const defaultControlPlane = "grpc://127.0.0.1:7000";

export function fillCommand(): Command {
  const fill = new Command("fill")
    .summary("what appliances should hold, and why")
    .description("Shows and steers what appliances are filled with.");
  fill
    .command("plan")
    .summary("the fill plan, or why an object is on an appliance")
    .description("Shows the plan of every appliance; with --explain, why one object is, or is not, on each of them.")
    .option("--control-plane <url>", "the control plane to ask", defaultControlPlane)
    .option("--explain <object>", "path of an object")
    .option("--now", "make the plan anew first, instead of waiting for the next round")
    .option("--json", "print JSON instead of tables")
    .addHelpText(
      "after",
      `
Examples:
  millrace fill plan
  millrace fill plan --explain demo/video-720.mp4
  millrace fill plan --now --json`,
    )
    .action(async (options: PlanOptions) => {
      const { showPlan } = await import("./show-fill-plan.js");
      await showPlan(options);
    });
  fill
    .command("pin <title>")
    .summary("say what editors know of a title")
    .description(
      "Keeps copies of a title in every cluster whatever its plays, or says how often a new title will be played. Without --copies and --expect it clears both.",
    )
    .option("--control-plane <url>", "the control plane to ask", defaultControlPlane)
    .option("--copies <n>", "copies per cluster to keep", Number)
    .option("--expect <plays>", "full plays per day and site that are expected in its first days", Number)
    .addHelpText(
      "after",
      `
Examples:
  millrace fill pin premiere --expect 5000
  millrace fill pin trailer --copies 2
  millrace fill pin premiere                 clear`,
    )
    .action(async (title: string, options: PinOptions) => {
      const { pinTitle } = await import("./show-fill-plan.js");
      await pinTitle(title, options);
    });
  fill
    .command("misses")
    .summary("bytes that the best appliance did not serve")
    .description("Lists the bytes that the best appliance did not serve, by hour, appliance and title, the largest first.")
    .option("--control-plane <url>", "the control plane to ask", defaultControlPlane)
    .option("--since <duration>", "how far back", "24h")
    .option("--appliance <id>", "of one appliance")
    .option("--title <id>", "of one title")
    .option("--limit <n>", "lines at most", Number, 50)
    .option("--json", "print JSON instead of a table")
    .addHelpText(
      "after",
      `
Letters:
  C   content: the appliance, or a better one, did not hold what was asked for
  H   health: a better appliance was offline, draining or full

Examples:
  millrace fill misses
  millrace fill misses --since 7d --title demo --json`,
    )
    .action(async (options: MissesOptions) => {
      const { showMisses } = await import("./show-fill-plan.js");
      await showMisses(options);
    });
  fill
    .command("status")
    .summary("how far an appliance has filled its manifest, and from where")
    .description("Shows the state of an appliance's fill: how far it is, how fast, what is under way and who it takes it from.")
    .option("--admin <url>", "the appliance's admin port", defaultAdminUrl)
    .option("--json", "print JSON")
    .addHelpText(
      "after",
      `
States:
  filling        chunks are on their way
  waiting        nobody may be asked yet who has what is lacking
  out-of-hours   no fill window is open, and nothing urgent is lacking
  paused         by "millrace fill pause"
  done           the manifest is held whole

Examples:
  millrace fill status
  millrace fill status --admin http://127.0.0.1:8091/ --json`,
    )
    .action(async (options: FillStatusOptions) => {
      const { showFillStatus } = await import("./show-fill-status.js");
      await showFillStatus(options);
    });
  for (const [name, paused, does] of [
    [
      "pause",
      true,
      "Stops the fill of an appliance's manifest, until it is resumed; a restart does not resume it. Requests are filled for as ever.",
    ],
    ["resume", false, "Goes on with the fill of an appliance's manifest."],
  ] as const) {
    fill
      .command(name)
      .summary(paused ? "stop filling the manifest" : "go on filling the manifest")
      .description(does)
      .option("--admin <url>", "the appliance's admin port", defaultAdminUrl)
      .option("--json", "print JSON")
      .addHelpText("after", `\nExample:\n  millrace fill ${name} --admin http://127.0.0.1:8091/`)
      .action(async (options: FillStatusOptions) => {
        const { pauseFill } = await import("./show-fill-status.js");
        await pauseFill(options, paused);
      });
  }
  return fill;
}
