// `millrace gateway`: runs the gateway in the foreground.
import { Command } from "commander";

export function gatewayCommand(): Command {
  return new Command("gateway")
    .summary("run the gateway: the HTTP face of the control plane, with the player page and the console")
    .description("Run the gateway: JSON for players and operators, the player page at / and the operator console at /console.")
    .requiredOption("-c, --config <file>", "YAML settings")
    .addHelpText(
      "after",
      `
Settings, all with the defaults shown but for admin and trustForwardedFrom:
  listen:             { host: 127.0.0.1, port: 8000 }
  admin:              { host: 127.0.0.1, port: 8001 }   # left out: no such port
  controlPlane:       { url: "grpc://127.0.0.1:7000" }
  trustForwardedFrom: ["127.0.0.0/8"]                   # proxies whose X-Forwarded-For is believed
  log:                { level: info }

Example:
  millrace gateway --config gateway.yaml
  curl http://127.0.0.1:8000/api/titles
  curl -d '{"titleId":"demo"}' http://127.0.0.1:8000/api/playback

SIGTERM finishes the requests that run and ends with 0.`,
    )
    .action(async ({ config }: { config: string }) => {
      // Loaded here, so that other commands don't wait for it.
      const [{ runGateway }, { gatewaySettings }, { readSettingsFile }] = await Promise.all([
        import("../control-plane/gateway/main.js"),
        import("../control-plane/gateway/settings.js"),
        import("../runtime/settings-file.js"),
      ]);
      await runGateway(readSettingsFile(config, gatewaySettings));
    });
}
