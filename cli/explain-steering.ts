// Where one client would be sent, and why: asked of the control plane, printed as tables or JSON.
import Table from "cli-table3";
import { ControlPlaneClient } from "../control-plane/control-plane-client.js";
import { holdsWord, rejectionLetter } from "../control-plane/gateway/api-answers.js";
import { objectsForPlayback } from "../control-plane/playback/playback-answer.js";
import { OperatingError } from "../runtime/operating-error.js";

export interface ExplainOptions {
  controlPlane: string;
  client: string;
  title?: string;
  object?: string;
  json?: true;
}

/** A person waits; a control plane under load may take longer than a player's gateway would wait. */
const deadlineMs = 10_000;

/** Asks the control plane and prints what it says. @throws OperatingError. */
export async function explainSteering(options: ExplainOptions): Promise<void> {
  const client = new ControlPlaneClient(options.controlPlane, { deadlineMs });
  try {
    const paths = await pathsOf(client, options);
    const { ranked, rejected, matchedPrefix } = await client.rankAppliances({
      clientAddress: options.client,
      paths,
      everyBox: true,
      sessionId: "",
      bitsPerSecond: 0n,
    });
    const answer = {
      client: options.client,
      title: options.title ?? null,
      paths,
      matchedPrefix: matchedPrefix || null,
      ranked: ranked.map(({ applianceId, siteId, dataUrl, holds, reason }, place) => ({
        rank: place + 1,
        siteId,
        applianceId,
        dataUrl,
        holds: holdsWord(holds),
        reason,
      })),
      rejected: rejected.map(({ applianceId, siteId, letter, reason }) => ({
        letter: rejectionLetter(letter),
        siteId,
        applianceId,
        reason,
      })),
    };
    process.stdout.write(options.json ? `${JSON.stringify(answer, null, 2)}\n` : asTables(answer));
  } finally {
    client.close();
  }
}

async function pathsOf(client: ControlPlaneClient, { title, object }: ExplainOptions): Promise<string[]> {
  if (object !== undefined) return [object];
  if (title === undefined) {
    throw new OperatingError("option-missing", "Cannot explain: say what the client plays, with --title ID or --object PATH");
  }
  const found = await client.getTitle({ titleId: title });
  return objectsForPlayback(found.title ?? { hlsPath: "", dashPath: "" }, found.objects).map(({ path }) => path);
}

interface Explanation {
  client: string;
  title: string | null;
  paths: string[];
  matchedPrefix: string | null;
  ranked: { rank: number; siteId: string; applianceId: string; dataUrl: string; holds: string; reason: string }[];
  rejected: { letter: string; siteId: string; applianceId: string; reason: string }[];
}

function asTables({ client, title, paths, matchedPrefix, ranked, rejected }: Explanation): string {
  const what = title === null ? paths[0] : `title ${title} (${paths.length} object${paths.length === 1 ? "" : "s"})`;
  const where = matchedPrefix === null ? "no site announces a prefix of it" : `matched prefix ${matchedPrefix}`;
  let text = `Client ${client}: ${where}\nPlays ${what}\n\n`;
  if (ranked.length === 0) text += "No appliance can serve this client now.\n";
  else {
    const rows = ranked.map(({ rank, siteId, applianceId, holds, reason, dataUrl }) => [
      rank,
      siteId,
      `${applianceId}\n${dataUrl}`,
      holds,
      reason.replaceAll("; ", "\n"),
    ]);
    text += `${table(["rank", "site", "appliance", "holds", "reason"], rows)}\n`;
  }
  if (rejected.length > 0) {
    const rows = rejected.map(({ letter, siteId, applianceId, reason }) => [letter, siteId, applianceId, reason]);
    text += `\nRejected (H: health, C: content)\n${table(["letter", "site", "appliance", "reason"], rows)}\n`;
  }
  return text;
}

function table(head: string[], rows: (string | number)[][]): string {
  const made = new Table({ head, style: { head: [], border: [] } });
  made.push(...rows);
  return made.toString();
}
