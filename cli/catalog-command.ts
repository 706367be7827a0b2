// `millrace catalog import|export|search`: the details of titles as JSON lines, and what players find.
import { createReadStream, createWriteStream } from "node:fs";
import { rename, rm, stat } from "node:fs/promises";
import { pipeline } from "node:stream/promises";
import { SingleBar } from "cli-progress";
import Table from "cli-table3";
import { Command, InvalidArgumentError, Option } from "commander";
import { detailsJson } from "../control-plane/catalog/details-json.js";
import { importLines, type ImportProgress } from "../control-plane/catalog/import-lines.js";
import { kindNameOf, kindNumberOf, titleKinds, type TitleKindName } from "../control-plane/catalog/title-details.js";
import { ControlPlaneClient } from "../control-plane/control-plane-client.js";
import { errnoOf, messageOf, OperatingError } from "../runtime/operating-error.js";

/** A batch of 500 titles on a slow disk. */
const callDeadlineMs = 30_000;
const exportPageSize = 500;
const controlPlaneDefault = "grpc://127.0.0.1:7000";

interface ConnectionOptions {
  controlPlane: string;
  token?: string;
}

export function catalogCommand(): Command {
  const catalog = new Command("catalog")
    .summary("describe titles, and find them")
    .description(
      "Writes and reads what titles are: names, kinds, people, ages, countries and dates. `millrace ingest` brings their bytes.",
    );
  const withConnection = (command: Command) =>
    command
      .addOption(new Option("--control-plane <url>", "where the catalog is").default(controlPlaneDefault))
      .addOption(new Option("--token <token>", "an operator's access token").env("MILLRACE_TOKEN"));

  withConnection(catalog.command("import"))
    .summary("write the details of titles from JSON lines")
    .description(
      "Writes the details of titles: one JSON object a line, as `export` gives it; parents before their parts.\n" +
        "What says nothing new changes nothing, so that a stopped import is simply run again.",
    )
    .argument("<file>", "file of JSON lines; - for standard input")
    .option("--skip <lines>", "begin after so many lines, as an earlier failure says", parseCount, 0)
    .option("--json", "print the result as JSON")
    .addHelpText(
      "after",
      "\nExamples:\n  millrace catalog import titles.jsonl\n  zcat titles.jsonl.gz | millrace catalog import - --token $TOKEN",
    )
    .action(async (file: string, options: ConnectionOptions & { skip: number; json?: true }) => {
      const client = new ControlPlaneClient(options.controlPlane, { deadlineMs: callDeadlineMs });
      const bar = await openBar(file);
      try {
        const input = file === "-" ? process.stdin : createReadStream(file);
        const done = await importLines(input, {
          skipLines: options.skip,
          put: async (titles) => (await client.putTitleDetails({ titles }, factsOf(options))).changed,
          onProgress: bar.show,
        });
        bar.close();
        const text = `${done.titles} titles read, ${done.changed} of them new or changed.\n`;
        process.stdout.write(options.json ? `${JSON.stringify(done)}\n` : text);
      } catch (error) {
        bar.close();
        if (errnoOf(error) === undefined || error instanceof OperatingError) throw error;
        throw new OperatingError("file-unreadable", `Cannot read ${file}: ${messageOf(error)}`, { source: file, cause: error });
      } finally {
        client.close();
      }
    });

  withConnection(catalog.command("export"))
    .summary("print the details of all titles as JSON lines")
    .description(
      "Prints one JSON object a line, parents before their parts: what `import` takes, with the encodes and languages that ingest found.",
    )
    .option("-o, --output <file>", "write there; the file appears when it is complete")
    .addHelpText("after", "\nExamples:\n  millrace catalog export > titles.jsonl\n  millrace catalog export --output titles.jsonl")
    .action(async (options: ConnectionOptions & { output?: string }) => {
      const client = new ControlPlaneClient(options.controlPlane, { deadlineMs: callDeadlineMs });
      try {
        const lines = exportedLines(client, options);
        if (options.output === undefined) await pipeline(lines, process.stdout, { end: false });
        else await writeWhole(options.output, lines);
      } finally {
        client.close();
      }
    });

  withConnection(catalog.command("search"))
    .summary("find titles by words")
    .description("Finds titles as players do: typos, half-written last words and missing accents do not matter.")
    .argument("<words...>", "words of names and people")
    .option("--country <code>", "only what may be played there now, such as DE")
    .option("--age <years>", "only what is for this age", parseCount)
    .addOption(new Option("--kind <kind...>", "only these kinds").choices(titleKinds))
    .option("--limit <titles>", "how many, up to 100", parseCount, 20)
    .option("--json", "print JSON")
    .addHelpText("after", "\nExamples:\n  millrace catalog search matirx\n  millrace catalog search dark --kind series --country DE --json")
    .action(
      async (
        words: string[],
        options: ConnectionOptions & { country?: string; age?: number; kind?: TitleKindName[]; limit: number; json?: true },
      ) => {
        const client = new ControlPlaneClient(options.controlPlane, { deadlineMs: callDeadlineMs });
        try {
          const { hits, hitsTotal } = await client.searchTitles(
            {
              query: words.join(" "),
              pageSize: options.limit,
              pageToken: "",
              country: options.country ?? "",
              ...(options.age !== undefined && { maturityMaxAge: options.age }),
              kinds: (options.kind ?? []).map(kindNumberOf),
            },
            factsOf(options),
          );
          const shown = hits.map((hit) => ({ ...hit, kind: kindNameOf(hit.kind) ?? "unknown" }));
          if (options.json) {
            process.stdout.write(`${JSON.stringify({ hits: shown, hitsTotal }, null, 2)}\n`);
            return;
          }
          const table = new Table({ head: ["title", "kind", "name", "year", "age", "score"], style: { head: [], compact: true } });
          for (const { titleId, kind, name, releaseYear, maturityAge, score } of shown) {
            table.push([titleId, kind, name, releaseYear || "", maturityAge, score.toFixed(1)]);
          }
          process.stdout.write(`${hits.length > 0 ? `${table.toString()}\n` : ""}${hitsTotal} found.\n`);
        } finally {
          client.close();
        }
      },
    );
  return catalog;
}

async function* exportedLines(client: ControlPlaneClient, options: ConnectionOptions): AsyncGenerator<string> {
  let pageToken = "";
  do {
    const page = await client.listTitleDetails({ pageSize: exportPageSize, pageToken, parentId: "" }, factsOf(options));
    yield page.titles.map((title) => `${JSON.stringify(detailsJson(title))}\n`).join("");
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
}

/** A file that is there is whole. */
async function writeWhole(file: string, lines: AsyncIterable<string>): Promise<void> {
  const part = `${file}.part-${process.pid}`;
  try {
    await pipeline(lines, createWriteStream(part, { flush: true }));
    await rename(part, file);
  } catch (error) {
    await rm(part, { force: true });
    if (error instanceof OperatingError) throw error;
    throw new OperatingError("file-unwritable", `Cannot write ${file}: ${messageOf(error)}`, { source: file, cause: error });
  }
}

function factsOf({ token }: ConnectionOptions) {
  return token === undefined ? {} : { authorization: `Bearer ${token}` };
}

/** By bytes of the file, on a terminal's standard error. */
async function openBar(file: string) {
  const size =
    file === "-"
      ? undefined
      : await stat(file).then(
          ({ size }) => size,
          () => undefined,
        );
  if (!process.stderr.isTTY || size === undefined) return { show: () => {}, close: () => {} };
  const bar = new SingleBar({ stream: process.stderr, format: "Importing {bar} {percentage} %  {titles} titles", hideCursor: true });
  bar.start(size, 0, { titles: 0 });
  return { show: ({ bytes, titles }: ImportProgress) => bar.update(bytes, { titles }), close: () => bar.stop() };
}

function parseCount(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError("Expected a whole number.");
  return Number(text);
}
