// The command line: which commands there are, and how their failures reach the person who typed them.
import { Command } from "commander";
import { OperatingError } from "../runtime/operating-error.js";
import { packageVersion } from "../runtime/package-root.js";
import { applianceCommand } from "./appliance-command.js";
import { benchCommand } from "./bench/bench-command.js";
import { billingCommand } from "./billing-command.js";
import { catalogCommand } from "./catalog-command.js";
import { controlPlaneCommand } from "./control-plane-command.js";
import { demoCommand } from "./demo-command.js";
import { diskCommand } from "./disk-command.js";
import { drainCommand } from "./drain-command.js";
import { fillCommand } from "./fill-command.js";
import { doctorCommand } from "./doctor-command.js";
import { fleetCommand } from "./fleet-command.js";
import { gatewayCommand } from "./gateway-command.js";
import { indexCommand } from "./index-command.js";
import { ingestCommand } from "./ingest-command.js";
import { originCommand } from "./origin-command.js";
import { paymentSandboxCommand } from "./payment-sandbox-command.js";
import { purgeCommand } from "./purge-command.js";
import { seedCommand } from "./seed-command.js";
import { steerCommand } from "./steer-command.js";
import { tokenCommand } from "./token-command.js";

/** In the order in which --help lists them. */
const commands = [
  demoCommand,
  applianceCommand,
  controlPlaneCommand,
  gatewayCommand,
  diskCommand,
  indexCommand,
  purgeCommand,
  ingestCommand,
  catalogCommand,
  originCommand,
  fillCommand,
  seedCommand,
  steerCommand,
  fleetCommand,
  doctorCommand,
  tokenCommand,
  billingCommand,
  paymentSandboxCommand,
  drainCommand,
  benchCommand,
];

/** exitOverride and the rest for commands below commands, too. */
function inherit(command: Command): void {
  for (const inner of command.commands) inherit(inner.copyInheritedSettings(command));
}

/** Runs one command of `argv` (as in process.argv). Exits with 1 when the command failed, with 2 when it was mistyped. */
export async function runCommandLine(argv: readonly string[]): Promise<void> {
  const program = new Command("millrace")
    .description("An open delivery system for video: edge appliances, and the control plane that steers players to them.")
    .version(packageVersion)
    .showHelpAfterError("(add --help for what this command takes)")
    .configureHelp({ showGlobalOptions: true })
    // Options after a command's name are that command's: `bench` and its commands share names.
    .enablePositionalOptions()
    .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2));
  for (const command of commands) {
    const added = command().copyInheritedSettings(program);
    inherit(added);
    program.addCommand(added);
  }
  try {
    await program.parseAsync(argv);
  } catch (error) {
    process.stderr.write(`${error instanceof OperatingError ? error.message : error instanceof Error ? error.stack : String(error)}\n`);
    process.exit(1);
  }
}
