// `millrace control-plane add-operator`: makes the first admin, who then makes the others.
import { createInterface } from "node:readline/promises";
import { Writable } from "node:stream";
import { Command, Option } from "commander";
import { OperatingError } from "../runtime/operating-error.js";

interface AddOperatorFlags {
  config: string;
  email: string;
  role: "admin" | "operator";
  json?: boolean;
}

export function addOperatorCommand(): Command {
  return new Command("add-operator")
    .summary("make an operator or admin account")
    .description(
      "Give an account the role of an operator (looks) or admin (changes), in the database of the settings; make the account when there is none.\n" +
        "The password of a new account is asked for, or read from standard input when that is no terminal.",
    )
    .requiredOption("-c, --config <file>", "the control plane's YAML settings")
    .requiredOption("--email <address>", "the account's mail address; it is not asked to confirm it")
    .addOption(new Option("--role <role>", "what it may do").choices(["operator", "admin"]).default("operator"))
    .option("--json", "print JSON")
    .addHelpText(
      "after",
      `
Examples:
  millrace control-plane add-operator --config control-plane.yaml --email ann@example.org --role admin
  millrace control-plane add-operator --config control-plane.yaml --email ben@example.org < password.txt

Whoever is signed in already gets the role with the next sign-in or refresh.`,
    )
    .action(async ({ config, email, role, json }: AddOperatorFlags) => {
      const [{ addOperator }, { controlPlaneSettings }, { readSettingsFile }] = await Promise.all([
        import("../control-plane/login/add-operator.js"),
        import("../control-plane/settings.js"),
        import("../runtime/settings-file.js"),
      ]);
      const settings = readSettingsFile(config, controlPlaneSettings);
      const added = await addOperator(settings, { email, role, readPassword: () => readPassword(email), nowUnixMs: Date.now() });
      const text = `${added.made ? "made" : "changed"} ${added.email}: ${added.roles.join(", ")} (account ${added.accountId})\n`;
      process.stdout.write(json ? `${JSON.stringify(added, null, 2)}\n` : text);
    });
}

/** A password is one line: more is a mistake in the pipe. */
const passwordInputMaxBytes = 4096;

async function readPassword(email: string): Promise<string> {
  if (!process.stdin.isTTY) {
    const parts: Buffer[] = [];
    let readBytes = 0;
    for await (const part of process.stdin as AsyncIterable<Buffer>) {
      readBytes += part.byteLength;
      if (readBytes > passwordInputMaxBytes) break;
      parts.push(part);
    }
    const password = Buffer.concat(parts)
      .toString("utf8")
      .replace(/\r?\n$/, "");
    if (password === "" || readBytes > passwordInputMaxBytes) {
      throw new OperatingError("bad-option", `Cannot make ${email}: Expected its password, one line, on standard input`);
    }
    return password;
  }
  // What is typed is not shown.
  const silent = new Writable({ write: (_chunk, _encoding, done) => done() });
  const terminal = createInterface({ input: process.stdin, output: silent, terminal: true });
  try {
    process.stderr.write(`Password for ${email}: `);
    return await terminal.question("");
  } finally {
    process.stderr.write("\n");
    terminal.close();
  }
}
