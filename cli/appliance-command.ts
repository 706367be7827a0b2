// `millrace appliance`: runs one appliance in the foreground.
import { Command } from "commander";

export function applianceCommand(): Command {
  return new Command("appliance")
    .summary("run an appliance: serve from its disks, fill from upstream")
    .description("Run one appliance in the foreground: it serves objects from its disks, and fills them from upstream.")
    .requiredOption("-c, --config <file>", "YAML settings; paths in it are relative to the working directory")
    .option("--supervise", "run it in a process of its own, and start that again when it dies; for where no systemd or container does")
    .option("--rebuild-index", "make the index anew from the disks first, if it cannot be used; otherwise that is an error")
    .addHelpText(
      "after",
      `
The smallest settings file:
  listen: { port: 8080 }
  disks: [ { path: /mnt/disk1, size: 20GiB } ]
  upstreams: [ { url: "http://origin.example/" } ]

SIGTERM drains and exits with 0; a second one stops at once. SIGHUP reads tokens and certificates anew. docs/appliance.md has every key.`,
    )
    .action(async ({ config, rebuildIndex, supervise: isSupervised }: { config: string; rebuildIndex?: true; supervise?: boolean }) => {
      if (isSupervised) {
        const { supervise } = await import("./supervise.js");
        return supervise(["appliance", "--config", config, ...(rebuildIndex ? ["--rebuild-index"] : [])]);
      }
      // Loaded when it runs, as by every command: the others start without it.
      const [{ runAppliance }, { applianceSettings }, { readSettingsFile }] = await Promise.all([
        import("../appliance/main.js"),
        import("../appliance/settings.js"),
        import("../runtime/settings-file.js"),
      ]);
      if (rebuildIndex) await (await import("../appliance/index-maintenance.js")).rebuildUnusableIndex(config);
      const read = () => readSettingsFile(config, applianceSettings);
      await runAppliance(read(), read);
    });
}
