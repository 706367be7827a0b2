// `millrace demo`: the whole small network in one command.
import { resolve } from "node:path";
import Table from "cli-table3";
import { Command } from "commander";
import pc from "picocolors";
import { onStop } from "../runtime/stop-signal.js";
import { DemoNetwork, type DemoAddresses } from "./demo/demo-network.js";

interface DemoCommandOptions {
  state: string;
  film?: string;
  json?: boolean;
}

export function demoCommand(): Command {
  return new Command("demo")
    .summary("run a whole small network, with a film to play")
    .description(
      "Run a whole small network on this machine: an origin, a control plane, a storage appliance, two edge appliances at two sites, the gateway, the player page and the operator console.",
    )
    .option("--state <folder>", "where everything is kept; a second start finds it warm", "./var")
    .option("--film <path>", "a packaged film or a video file to play in place of our own")
    .option("--json", "print the addresses as one line of JSON when all is up")
    .addHelpText(
      "after",
      `
Ports that are taken are replaced by free ones. Ctrl-C stops everything. Logs are in STATE/log.

Examples:
  millrace demo
  millrace demo --state /tmp/millrace --film holiday.mkv`,
    )
    .action(async ({ state, film, json }: DemoCommandOptions) => {
      const say = (text: string) => process.stderr.write(`${pc.dim(text)}\n`);
      const network = new DemoNetwork({ stateFolder: resolve(state), film, onEvent: say });
      onStop(async () => {
        say("Stopping …");
        await network.stop();
      });
      try {
        const addresses = await network.start();
        process.stdout.write(json ? `${JSON.stringify(addresses)}\n` : describe(addresses));
      } catch (error) {
        await network.stop();
        throw error;
      }
    });
}

function describe({ player, console, controlPlane, origin, appliances, processes }: DemoAddresses): string {
  const table = new Table({ head: ["appliance", "site", "data", "admin", "process"], style: { head: [], border: [] } });
  for (const { name, site, data, admin } of appliances) table.push([name, site, data, `${admin}status`, String(processes[name] ?? "")]);
  return [
    "",
    `  Player page       ${pc.bold(player)}`,
    `  Operator console  ${pc.bold(console)}`,
    `  Control plane     ${controlPlane}`,
    `  Origin            ${origin}`,
    "",
    table.toString(),
    "",
    `  Kill the process of the edge that serves while the film plays (kill -9), and watch it go on. Ctrl-C stops everything.`,
    "",
    "",
  ].join("\n");
}
