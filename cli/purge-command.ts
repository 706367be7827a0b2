// `millrace purge`: makes a running appliance forget an object, a prefix, or everything.
import { Command, Option } from "commander";
import { OperatingError } from "../runtime/operating-error.js";
import { askAppliance, defaultAdminUrl } from "./admin-request.js";

interface PurgeOptions {
  admin: string;
  prefix?: string;
  all?: true;
  json?: true;
}

export function purgeCommand(): Command {
  return new Command("purge")
    .summary("make a running appliance forget objects")
    .description(
      "Makes the appliance on this machine forget an object, all objects whose path begins alike, or everything. From the answer on\n" +
        "no response that begins has bytes from before it, also after restarts. The space comes back in the background.",
    )
    .argument("[path]", "path of one object, without a leading slash")
    .addOption(new Option("--prefix <prefix>", "all objects whose path begins with this").conflicts("all"))
    .option("--all", "everything")
    .option("--admin <url>", "the appliance's admin port", defaultAdminUrl)
    .option("--json", "print JSON instead of text")
    .addHelpText(
      "after",
      `
Examples:
  millrace purge film/video-720.mp4
  millrace purge --prefix film/
  millrace purge --all`,
    )
    .action(async (path: string | undefined, { admin, prefix, all, json }: PurgeOptions) => {
      const wishes = [path !== undefined && { path }, prefix !== undefined && { prefix }, all && { all }].filter(Boolean);
      if (wishes.length !== 1) throw new OperatingError("request-refused", "Cannot purge: expected one of a path, --prefix and --all");
      const purged = await askAppliance<{ number: number; disks: number }>(admin, "purge", wishes[0]);
      process.stdout.write(
        json ? `${JSON.stringify(purged, null, 2)}\n` : `Purged (number ${purged.number}, noted on ${purged.disks} disks).\n`,
      );
    });
}
