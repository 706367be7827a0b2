// `millrace fleet`: the appliances as the control plane sees them, and what operators tell them.
import { Command, Option } from "commander";
import type { Asked, MaintenanceOptions } from "./fleet-orders.js";

const controlPlaneOption = () => new Option("--control-plane <url>", "the control plane to ask").default("grpc://127.0.0.1:7000");

export function fleetCommand(): Command {
  const fleet = new Command("fleet")
    .summary("see, drain and turn up appliances")
    .description("Sees, drains and turns up the appliances of a fleet.");
  fleet
    .command("list")
    .summary("every appliance with its state")
    .description("Lists every appliance: state, headroom, why players are kept away, whether its power may go.")
    .addOption(controlPlaneOption())
    .option("--json", "print JSON instead of a table")
    .action(async (options: Asked) => (await import("./fleet-orders.js")).listFleet(options));
  fleet
    .command("drain <appliance>")
    .summary("send no more players to an appliance")
    .description("Sends no more players to an appliance until `fleet resume`; those that play are moved by content steering.")
    .option("--reason <text>", "for whoever looks at the fleet", "")
    .addOption(controlPlaneOption())
    .addHelpText(
      "after",
      "\nExample:\n  millrace fleet drain 5b7c… --reason 'power supply'\n\n`millrace fleet list` says when its power may go.",
    )
    .action(async (appliance: string, options: Asked & { reason: string }) =>
      (await import("./fleet-orders.js")).orderDrain(appliance, { ...options, drain: true }),
    );
  fleet
    .command("resume <appliance>")
    .summary("send players to a drained appliance again")
    .addOption(controlPlaneOption())
    .action(async (appliance: string, options: Asked) =>
      (await import("./fleet-orders.js")).orderDrain(appliance, { ...options, drain: false, reason: "" }),
    );
  const maintenance = fleet
    .command("maintenance")
    .summary("drain from then to then")
    .description("Drains an appliance or a whole site from then to then.");
  maintenance
    .command("add")
    .description("Plans a maintenance, up to three months ahead. Times are ISO 8601, such as 2027-01-31T02:00:00Z.")
    .option("--appliance <id>", "an appliance")
    .option("--site <id>", "or a whole site")
    .requiredOption("--from <time>", "begins")
    .requiredOption("--until <time>", "ends")
    .option("--reason <text>", "for whoever looks at the fleet", "")
    .addOption(controlPlaneOption())
    .action(async (options: MaintenanceOptions) => (await import("./fleet-orders.js")).addMaintenance(options));
  maintenance
    .command("list")
    .description("Lists maintenance that has not ended.")
    .addOption(controlPlaneOption())
    .option("--json", "print JSON instead of a table")
    .action(async (options: Asked) => (await import("./fleet-orders.js")).listMaintenance(options));
  maintenance
    .command("cancel <id>")
    .description("Cancels a maintenance; what it has drained serves again.")
    .addOption(controlPlaneOption())
    .action(async (id: string, options: Asked) => (await import("./fleet-orders.js")).cancelMaintenance(id, options));
  for (const command of [fleet, maintenance]) {
    for (const inner of command.commands) if (inner.description() === "") inner.description(inner.summary());
  }
  return fleet;
}
