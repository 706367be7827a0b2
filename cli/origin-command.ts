// `millrace origin`: serves a folder as an origin.
import { resolve } from "node:path";
import { Command, InvalidArgumentError } from "commander";
import { formatByteSize } from "../runtime/byte-size.js";
import { announceReady, onStop } from "../runtime/stop-signal.js";
import { openOrigin } from "./origin.js";

export function originCommand(): Command {
  return new Command("origin")
    .summary("serve a folder as an origin over HTTP")
    .description(
      "Serve a folder as an origin over HTTP: GET and HEAD with ranges, entity tags, and the digests that ingest made.\n\n" +
        "For demos, tests and small networks; any web server that answers Range can take its place.",
    )
    .argument("<dir>", "folder that `millrace ingest --origin` filled")
    .option("--host <address>", "address to listen on", "127.0.0.1")
    .option("--port <number>", "port to listen on; 0 picks a free one", parsePort, 9000)
    .option("--access-log <file>", "append one JSON line per request: method, path, range, status, bytes")
    .addHelpText(
      "after",
      `
Examples:
  millrace origin ./var/origin
  millrace origin /srv/origin --host 0.0.0.0 --port 9000 --access-log requests.jsonl`,
    )
    .action(async (dir: string, options: { host: string; port: number; accessLog?: string }) => {
      const origin = await openOrigin({ folder: resolve(dir), ...options });
      onStop(async () => {
        await origin.close();
        process.stderr.write(`Origin stopped: ${origin.requests} requests answered, ${formatByteSize(origin.bodyBytes)} sent\n`);
      });
      process.stderr.write(`Origin of ${dir} on http://${options.host}:${origin.port}/\n`);
      announceReady({ port: origin.port });
    });
}

function parsePort(text: string): number {
  const port = Number(text);
  if (!/^\d+$/.test(text) || port > 65535) throw new InvalidArgumentError("Expected a port number from 0 to 65535.");
  return port;
}
