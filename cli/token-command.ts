// `millrace token`: makes and explains the tokens of playback URLs.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Command } from "commander";
import { OperatingError } from "../runtime/operating-error.js";

interface MakeOptions {
  config: string;
  key?: string;
  path: string;
  expires: string;
  client?: string;
  session?: string;
  rate?: string;
}

export function tokenCommand(): Command {
  const command = new Command("token").description("Make and check the tokens of playback URLs.");
  command
    .command("make")
    .description("Print a token, signed with a key of an appliance: of its settings, or of its lease.")
    .requiredOption("--config <file>", "the appliance's YAML settings, for tokens.keys")
    .option("--key <id>", "which key signs; the newest that may by default")
    .option("--path <prefix>", 'what the token opens: objects whose path begins so, "" for all', "")
    .option("--expires <duration>", "how long it is good for: 30m, 6h, 7d", "6h")
    .option("--client <cidr>", "only for clients of this prefix, such as 198.51.100.0/24")
    .option("--rate <bytes>", "responses to its bearer are sent no faster than so many bytes a second, such as 500KiB")
    .option("--session <name>", "whose playback it is; tokens.revokedSessions ends it early")
    .addHelpText(
      "after",
      `
Example:
  TOKEN=$(millrace token make --config appliance.yaml --path clock/ --expires 6h)
  curl http://127.0.0.1:8080/~$TOKEN/clock/master.m3u8`,
    )
    .action(async (options: MakeOptions) => {
      const [{ makePlaybackToken }, { parseDurationMs }, { parseClientPrefix }, { chooseSigningKey }, { parseByteSize }, { keys }] =
        await Promise.all([
          import("../fill-protocol/playback-token.js"),
          import("../runtime/duration.js"),
          import("../appliance/serve/client-prefix.js"),
          import("../fill-protocol/token-key.js"),
          import("../runtime/byte-size.js"),
          readRules(options.config),
        ]);
      const key = options.key === undefined ? chooseSigningKey(keys, Date.now()) : keys.find(({ id }) => id === options.key);
      if (!key)
        throw new OperatingError("no-key", `Cannot sign: ${options.config} has no key ${options.key ?? "in tokens.keys, nor in a lease"}`);
      const lifetimeMs = parseDurationMs(options.expires);
      if (lifetimeMs === undefined)
        throw new OperatingError("bad-option", `Cannot read --expires ${options.expires}: expected 30m, 6h or 7d`);
      if (options.client !== undefined && !parseClientPrefix(options.client)) {
        throw new OperatingError("bad-option", `Cannot read --client ${options.client}: expected a prefix such as 198.51.100.0/24`);
      }
      const bytesPerSecond = options.rate === undefined ? undefined : parseByteSize(options.rate);
      if (options.rate !== undefined && !bytesPerSecond)
        throw new OperatingError("bad-option", `Cannot read --rate ${options.rate}: expected bytes a second, such as 500KiB`);
      const claims = {
        expiresUnixS: Math.floor((Date.now() + lifetimeMs) / 1000),
        pathPrefix: options.path,
        ...(options.client === undefined ? {} : { clientPrefix: options.client }),
        ...(options.session === undefined ? {} : { session: options.session }),
        ...(bytesPerSecond === undefined ? {} : { bytesPerSecond }),
      };
      process.stdout.write(`${makePlaybackToken(claims, key)}\n`);
    });
  command
    .command("check")
    .description("Say what a token opens, and whether an appliance with these settings takes it. Exits with 1 when it does not.")
    .argument("<token>", "the token, or a URL that has it; - reads it from standard input")
    .requiredOption("--config <file>", "the appliance's YAML settings")
    .option("--path <path>", "also: for this object")
    .option("--client <address>", "also: for this client")
    .option("--json", "print JSON")
    .action(async (text: string, options: { config: string; path?: string; client?: string; json?: boolean }) => {
      const [{ parsePlaybackToken }, { TokenChecker }, rules, { systemClock }, ipaddr] = await Promise.all([
        import("../fill-protocol/playback-token.js"),
        import("../appliance/serve/token-checker.js"),
        readRules(options.config),
        import("../runtime/clock.js"),
        import("ipaddr.js"),
      ]);
      const given = text === "-" ? readFileSync(0, "utf8").trim() : text;
      const token = /\/~([^/]+)\//.exec(given)?.[1] ?? /[?&]tk=([^&]+)/.exec(given)?.[1] ?? given;
      const claims = parsePlaybackToken(token)?.claims;
      const client = options.client;
      if (client !== undefined && !ipaddr.default.isValid(client)) {
        throw new OperatingError("bad-option", `Cannot read --client ${client}: expected an address`);
      }
      const checker = new TokenChecker(rules, systemClock);
      const verdict = checker.check({
        token,
        path: options.path ?? claims?.pathPrefix ?? "",
        query: () => "",
        // Without an address the binding to one is left out of the question.
        clientAddress: () => Uint8Array.from(ipaddr.default.parse(client ?? firstAddressOf(claims?.clientPrefix)).toByteArray()),
        clientAddressText: () => client ?? "",
      });
      const answer = {
        accepted: verdict === undefined,
        refusal: verdict ?? null,
        keyId: parsePlaybackToken(token)?.keyId ?? null,
        claims: claims ? { ...claims, expires: new Date(claims.expiresUnixS * 1000).toISOString() } : null,
      };
      process.stdout.write(options.json ? `${JSON.stringify(answer, null, 2)}\n` : `${explain(answer)}\n`);
      if (verdict !== undefined) process.exitCode = 1;
    });
  command
    .command("revoke")
    .description("End a playback early: within a heartbeat, no appliance of the fleet takes tokens of this session any more.")
    .argument("<session>", "the session in the claims of its tokens; `token check` shows it")
    .option("--control-plane <url>", "the control plane that signed them", "grpc://127.0.0.1:7000")
    .option("--json", "print JSON")
    .action(async (session: string, options: { controlPlane: string; json?: boolean }) => {
      const { ControlPlaneClient } = await import("../control-plane/control-plane-client.js");
      const client = new ControlPlaneClient(options.controlPlane);
      try {
        const { untilUnixMs } = await client.revokeSession({ session });
        const until = new Date(Number(untilUnixMs)).toISOString();
        process.stdout.write(
          options.json ? `${JSON.stringify({ session, until })}\n` : `revoked until its last token has expired, ${until}\n`,
        );
      } finally {
        client.close();
      }
    });
  return command;
}

/** What an appliance with these settings holds tokens against, with the lease that it has from its control plane. */
async function readRules(config: string) {
  const [{ applianceSettings }, { readSettingsFile }, { readLease }, { tokenRulesOf }] = await Promise.all([
    import("../appliance/settings.js"),
    import("../runtime/settings-file.js"),
    import("../appliance/agent/lease-file.js"),
    import("../appliance/token-rules.js"),
  ]);
  const settings = readSettingsFile(config, applianceSettings);
  return tokenRulesOf(settings, readLease(join(settings.index, "lease.json")));
}

function firstAddressOf(prefix = "0.0.0.0"): string {
  return prefix.split("/", 1)[0]!;
}

function explain({
  accepted,
  refusal,
  keyId,
  claims,
}: {
  accepted: boolean;
  refusal: string | null;
  keyId: string | null;
  claims: { pathPrefix: string; expires: string; clientPrefix?: string; session?: string } | null;
}): string {
  const lines = [accepted ? "accepted" : `refused: ${refusal}`];
  if (claims) {
    lines.push(`key      ${keyId}`, `path     ${claims.pathPrefix === "" ? "all" : `${claims.pathPrefix}…`}`, `expires  ${claims.expires}`);
    if (claims.clientPrefix !== undefined) lines.push(`client   ${claims.clientPrefix}`);
    if (claims.session !== undefined) lines.push(`session  ${claims.session}`);
  }
  return lines.join("\n");
}
