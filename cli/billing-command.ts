// `millrace billing reconcile`: compares ledger, documents and payment provider.
import Table from "cli-table3";
import { Command } from "commander";

export function billingCommand(): Command {
  const billing = new Command("billing").summary("look after the books").description("Looks after the books of the control plane.");
  billing
    .command("reconcile")
    .summary("compare the ledger with invoices, payments and the payment provider")
    .description(
      "Compares, in the database of the settings: every transaction of the ledger with zero, what customers owe and have as credit with their invoices,\n" +
        "payments and refunds with invoices, and both with what the payment provider says. Exits with 1 when something differs.",
    )
    .requiredOption("-c, --config <file>", "the control plane's YAML settings")
    .option("--no-provider", "do not ask the payment provider")
    .option("--json", "print JSON")
    .addHelpText(
      "after",
      `
Examples:
  millrace billing reconcile --config control-plane.yaml
  millrace billing reconcile --config control-plane.yaml --no-provider --json

The control plane may be running. A payment that is under way while this looks may show up; look again.`,
    )
    .action(async ({ config, provider, json }: { config: string; provider: boolean; json?: true }) => {
      const [{ reconcileSettings }, { controlPlaneSettings }, { readSettingsFile }] = await Promise.all([
        import("../control-plane/billing/reconcile-settings.js"),
        import("../control-plane/settings.js"),
        import("../runtime/settings-file.js"),
      ]);
      const report = await reconcileSettings(readSettingsFile(config, controlPlaneSettings), { askProvider: provider });
      if (json) {
        const asText = (_key: string, value: unknown) => (typeof value === "bigint" ? String(value) : value);
        process.stdout.write(`${JSON.stringify(report, asText, 2)}\n`);
      } else {
        const table = new Table({
          head: ["finding", "of", "expected", "found"],
          style: { head: [] },
          colAligns: ["left", "left", "right", "right"],
        });
        for (const { kind, subject, expectedMinor, foundMinor } of report.findings) {
          table.push([kind, subject, String(expectedMinor), String(foundMinor)]);
        }
        const { transactions, invoices, payments, asked, findings } = report;
        process.stdout.write(
          `${findings.length > 0 ? `${table.toString()}\n` : ""}${transactions} transactions, ${invoices} invoices, ${payments} payments; ` +
            `the provider was asked about ${asked}. ${findings.length === 0 ? "Everything agrees." : `${findings.length} differ.`}\n`,
        );
      }
      if (report.findings.length > 0) process.exitCode = 1;
    });
  return billing;
}
