// `millrace control-plane appliance-key`: the key with which one appliance shows who it is.
import { Command } from "commander";
import { OperatingError } from "../runtime/operating-error.js";

export function applianceKeyCommand(): Command {
  return new Command("appliance-key")
    .summary("print the key of one appliance")
    .description("Print the key of one appliance, derived from authentication.applianceSecret: what its settings have as controlPlane.key.")
    .requiredOption("-c, --config <file>", "the control plane's YAML settings")
    .requiredOption("--id <appliance>", "the appliance's id")
    .addHelpText(
      "after",
      `
Example:
  millrace control-plane appliance-key --config control-plane.yaml --id isp-1-a-1`,
    )
    .action(async ({ config, id }: { config: string; id: string }) => {
      const [{ applianceKey }, { controlPlaneSettings }, { readSettingsFile }, { isFleetId }] = await Promise.all([
        import("../control-plane/caller.js"),
        import("../control-plane/settings.js"),
        import("../runtime/settings-file.js"),
        import("../control-plane/fleet/identity-rules.js"),
      ]);
      const { applianceSecret } = readSettingsFile(config, controlPlaneSettings).authentication;
      if (applianceSecret === undefined) {
        throw new OperatingError("no-key", `Cannot make a key: ${config} has no authentication.applianceSecret`);
      }
      if (!isFleetId(id))
        throw new OperatingError(
          "bad-option",
          "Cannot make a key: Expected an id of up to 64 letters, digits, dots, dashes and underscores",
        );
      process.stdout.write(`${applianceKey(applianceSecret, id)}\n`);
    });
}
