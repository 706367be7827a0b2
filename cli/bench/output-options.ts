// The options that say where a result goes.
import type { Command } from "commander";

export interface OutputOptions {
  json?: boolean;
  out?: string;
  html?: string;
  histograms: boolean;
}

export function addOutputOptions(command: Command): void {
  command
    .option("--json", "print the result as JSON")
    .option("--out <file>", "write the result as JSON to a file, too")
    .option("--no-histograms", "leave the HDR histograms out of the JSON, which makes it a tenth as long")
    .option("--html <file>", "write the result as a page with charts to a file, too");
}
