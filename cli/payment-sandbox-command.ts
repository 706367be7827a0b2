// `millrace payment-sandbox`: a payment provider without money, to develop and test with.
import { Command } from "commander";
import { parseDurationMs } from "../runtime/duration.js";
import { OperatingError } from "../runtime/operating-error.js";

interface SandboxFlags {
  host: string;
  port: string;
  file: string;
  later: string;
  webhook?: string;
  secret?: string;
  twice: string;
}

export function paymentSandboxCommand(): Command {
  return new Command("payment-sandbox")
    .summary("run a payment provider that moves no money")
    .description(
      "Runs a payment provider that moves no money. Its cards behave as their names say, and it tells what has happened by webhooks\n" +
        "that come late, in any order, and some of them twice, until they are taken.",
    )
    .option("--host <address>", "where to listen", "127.0.0.1")
    .option("--port <n>", "0 picks a free one", "7400")
    .option("--file <path>", "its books; they outlive it", "./var/payment-sandbox.db")
    .option("--later <duration>", "how long a payment that is decided later takes", "5s")
    .option("--webhook <url>", "where webhooks go: the gateway's /api/billing/provider-event")
    .option("--secret <text>", "signs the webhooks; the same as billing.provider.webhookSecret")
    .option("--twice <share>", "share of webhooks that are sent twice, 0 to 1", "0.2")
    .addHelpText(
      "after",
      `
Cards (what follows a dot is yours to tell them apart, as in pm_ok.alice):
  pm_ok              is charged at once
  pm_declined        is declined: insufficient_funds
  pm_expired         is declined: expired_card
  pm_later           is pending, then charged
  pm_later_declined  is pending, then declined
  pm_flaky           is declined, charged, declined, charged, and so on
  pm_lost            is charged, and the answer is lost

Example:
  millrace payment-sandbox --webhook http://127.0.0.1:8000/api/billing/provider-event --secret "at least 16 letters"`,
    )
    .action(async (flags: SandboxFlags) => {
      const number = (name: "port" | "twice", max: number) => {
        const value = Number(flags[name]);
        if (flags[name] !== "" && value >= 0 && value <= max) return value;
        throw new OperatingError("bad-flag", `Cannot run the sandbox: --${name} must be 0 to ${max}`);
      };
      const laterMs = parseDurationMs(flags.later);
      if (laterMs === undefined) throw new OperatingError("bad-flag", "Cannot run the sandbox: --later must be a duration such as 5s");
      if ((flags.webhook === undefined) !== (flags.secret === undefined)) {
        throw new OperatingError("bad-flag", "Cannot run the sandbox: --webhook and --secret belong together");
      }
      const [{ openSandboxServer }, { openLog }, { announceReady, onStop }] = await Promise.all([
        import("../control-plane/payment-sandbox/sandbox-server.js"),
        import("../runtime/log.js"),
        import("../runtime/stop-signal.js"),
      ]);
      const { webhook, secret } = flags;
      const server = await openSandboxServer({
        host: flags.host,
        port: number("port", 65_535),
        file: flags.file,
        laterMs,
        webhook: webhook === undefined || secret === undefined ? undefined : { url: webhook, secret, twiceShare: number("twice", 1) },
        log: openLog("payment-sandbox", "info"),
      });
      onStop(() => server.close());
      announceReady({ port: server.port });
    });
}
