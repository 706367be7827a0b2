// `millrace drain`: asks a running appliance to finish and stop.
import { setTimeout as wait } from "node:timers/promises";
import { Command } from "commander";
import { askAppliance } from "./admin-request.js";

const lookEveryMs = 500;

interface DrainLeft {
  sinceSeconds: number;
  deadlineSeconds: number;
  responsesLeft: number;
  sessionsLeft: number;
}

interface DrainStatus {
  state: string;
  drain: DrainLeft | null;
}

export function drainCommand(): Command {
  return new Command("drain")
    .description(
      "Ask a running appliance to finish its responses and stop. It is not ready from that moment, and takes no new connections.",
    )
    .requiredOption("--admin <url>", "the appliance's admin port, such as http://127.0.0.1:8081/")
    .option("--no-wait", "return at once instead of when the appliance has stopped")
    .option("--json", "print JSON lines")
    .addHelpText(
      "after",
      `
Example:
  millrace drain --admin http://127.0.0.1:8081/

The same as SIGTERM. Responses that are not done at drain.deadline of the settings are cut off.`,
    )
    .action(async ({ admin, wait: untilStopped, json }: { admin: string; wait: boolean; json?: boolean }) => {
      await askAppliance(admin, "drain", {});
      const say = (state: string, left: Pick<DrainLeft, "responsesLeft" | "sessionsLeft"> | null) => {
        const text =
          left === null ? state : `${state}: ${left.responsesLeft} responses left, ${left.sessionsLeft} sessions seen within a minute`;
        const { responsesLeft = null, sessionsLeft = null } = left ?? {};
        process.stdout.write(json ? `${JSON.stringify({ state, responsesLeft, sessionsLeft })}\n` : `${text}\n`);
      };
      say("draining", null);
      if (!untilStopped) return;
      for (let last: number | undefined; ;) {
        const status = await readStatus(admin);
        if (!status) return say("stopped", null);
        const left = status.drain;
        if (left && left.responsesLeft !== last) {
          last = left.responsesLeft;
          say(status.state, left);
        }
        await wait(lookEveryMs);
      }
    });
}

/** Undefined when nobody answers any more. */
async function readStatus(admin: string): Promise<DrainStatus | undefined> {
  try {
    return await askAppliance<DrainStatus>(admin, "status");
  } catch {
    return undefined;
  }
}
