// The command line: which commands there are, and how their failures reach the person who typed them.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Command } from "commander";
import { OperatingError } from "../runtime/operating-error.js";
import { packageRoot } from "../runtime/package-root.js";
import { benchCommand } from "./bench-command.js";

/** Runs one command of `argv` (as in process.argv). Exits with 1 when the command failed, with 2 when it was mistyped. */
export async function runCommandLine(argv: readonly string[]): Promise<void> {
  const { version } = JSON.parse(readFileSync(join(packageRoot, "package.json"), "utf8")) as { version: string };
  const program = new Command("millrace")
    .description("An open delivery system for video: edge appliances, and the control plane that steers players to them.")
    .version(version)
    .showHelpAfterError("(add --help for what this command takes)")
    .configureHelp({ showGlobalOptions: true })
    .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2));
  program.addCommand(benchCommand());
  try {
    await program.parseAsync(argv);
  } catch (error) {
    process.stderr.write(`${error instanceof OperatingError ? error.message : error instanceof Error ? error.stack : String(error)}\n`);
    process.exit(1);
  }
}
