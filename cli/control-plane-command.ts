// `millrace control-plane`: runs the control plane in the foreground.
import { Command } from "commander";
import { addOperatorCommand } from "./add-operator-command.js";
import { applianceKeyCommand } from "./appliance-key-command.js";
import { OperatingError } from "../runtime/operating-error.js";

export function controlPlaneCommand(): Command {
  return new Command("control-plane")
    .summary("run the control plane: fleet, steering, catalog, fill plan, playback, login")
    .description("Run the control plane: it knows the appliances and the titles, plans what is filled where, and steers players.")
    .enablePositionalOptions()
    .option("-c, --config <file>", "YAML settings; needed")
    .addHelpText(
      "after",
      `
Settings, all with the defaults shown but for the sites:
  listen:   { host: 127.0.0.1, port: 7000 }     # gRPC, with health and reflection
  admin:    { host: 127.0.0.1, port: 7001 }     # /healthz /readyz /metrics /status
  database: sqlite:./var/control-plane.db       # or mysql://user:password@host:3306/database, for several copies
  shared:   "memory:"                           # or redis://host:6379, for several copies
  fleet:    { heartbeatEvery: 2s, expiresAfter: 6s }
  lease:    { validFor: 7d }                    # how long appliances go on without us
  steering: { minUrls: 3, maxUrls: 10, minSites: 2 }
  sites:                                        # who is near whom; rank orders equals, lower first
    - { id: isp-1, prefixes: ["10.0.0.0/8", "2001:db8::/32"], rank: 10 }
  authentication: { required: false }           # docs/login.md: who may call, accounts, mail, keys
  login:    { mail: { url: "files:./var/mail" } }
  log:      { level: info }

Examples:
  millrace control-plane --config control-plane.yaml
  millrace control-plane add-operator --config control-plane.yaml --email ann@example.org --role admin

SIGTERM finishes the calls that run and ends with 0.`,
    )
    .action(async ({ config }: { config?: string }) => {
      // Not a required option: its subcommands have one of their own.
      if (config === undefined) throw new OperatingError("bad-option", "Cannot run the control plane: Expected --config FILE");
      // Loaded here, so that other commands don't wait for it.
      const [{ runControlPlane }, { controlPlaneSettings }, { readSettingsFile }] = await Promise.all([
        import("../control-plane/main.js"),
        import("../control-plane/settings.js"),
        import("../runtime/settings-file.js"),
      ]);
      await runControlPlane(readSettingsFile(config, controlPlaneSettings));
    })
    .addCommand(addOperatorCommand())
    .addCommand(applianceKeyCommand());
}
