// Measures a server that runs already, wherever it is.
import { OperatingError } from "../../runtime/operating-error.js";
import type { CatalogueObject } from "../load/load-plan.js";
import { observeServer, type ObserveOptions } from "../observe/observe-server.js";
import { openProgressBar } from "../report/progress-bar.js";
import type { ResultBuilder } from "../report/result-builder.js";
import { catalogueName, generatedObjects, parseCatalogue, readCatalogueFile } from "./object-files.js";
import { runWorkloadRound, type MidRunCommand } from "./run-workload.js";
import { bytesOf, readReplayOf, type WorkloadFlags } from "./workload-flags.js";
import { flagsOf, type Workload } from "./workload-table.js";

const fetchTimeoutMs = 5000;
const catalogueMaxBytes = 256 * 2 ** 20;

export interface UrlRequest {
  /** Base URL of the objects. */
  url: string;
  workloads: readonly Workload[];
  typed: Partial<WorkloadFlags>;
  observe: ObserveOptions;
  caPem: string | null;
  insecure: boolean;
  headers: Record<string, string>;
  /** Catalogue file; null asks the server for catalogue.json and, where it has none, takes the names that `millrace bench files` makes. */
  catalogue: string | null;
  generator: "millrace" | "wrk";
  workers: number;
  midRun: MidRunCommand | null;
  signal: AbortSignal;
}

/** Adds the subject and its rounds to `result`. True when everything that was asked for was run. */
export async function runOnUrl(request: UrlRequest, result: ResultBuilder): Promise<boolean> {
  const url = parseBaseUrl(request.url);
  const scheme = url.protocol === "https:" ? "https" : "http";
  const { server, objects } = await askServer(url, request);
  if (objects === null)
    result.note(`${url.href}${catalogueName} is no catalogue: objects named as by \`millrace bench files\` are asked for`);
  result.addSubject({ name: url.host, version: server, missing: null });
  const observer = await observeServer(url, request.observe);
  const steps = request.workloads.map((workload) => ({ workload, flags: flagsOf(workload, request.typed) }));
  const bar = openProgressBar(steps.reduce((sum, { flags }) => sum + flags.rounds, 0));
  let done = 0;
  try {
    for (const { workload, flags } of steps) {
      const wanted = flags.objects + (flags.fillConnections > 0 ? flags.fillObjects : 0);
      const replay = await readReplayOf(flags);
      const set = replay?.objects ?? objects ?? generatedObjects(wanted, bytesOf("objectSize", flags.objectSize));
      const { caPem, insecure, headers, workers } = request;
      for (let round = 0; round < flags.rounds; round++) {
        if (request.signal.aborted) return false;
        bar.begin(done++, workload.name);
        const outcome = await runWorkloadRound(
          flags,
          { baseUrl: url.href, caPem, insecure, headers, workers, replay, objects: replay === null ? set.slice(0, flags.objects) : set },
          {
            round,
            observer,
            generator: request.generator,
            midRun: request.midRun,
            signal: request.signal,
            fillObjects: set.slice(flags.objects),
            onProgress: bar.update,
          },
        );
        if (outcome.round !== null) {
          const facts = { name: workload.name, title: workload.title, flags: { ...flags } };
          const { generator } = request;
          result.addRound(outcome.round, {
            subject: url.host,
            scheme,
            workload: facts,
            generator,
            workers: Math.min(workers, flags.connections),
          });
        }
        if (!outcome.whole) return false;
      }
    }
    return true;
  } finally {
    bar.stop();
  }
}

function parseBaseUrl(text: string): URL {
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw new OperatingError("bad-url", `Cannot load ${text}: expected a URL such as http://127.0.0.1:8080/`);
  }
  if (url.protocol !== "http:" && url.protocol !== "https:")
    throw new OperatingError("bad-url", `Cannot load ${text}: only http and https`);
  if (!url.pathname.endsWith("/")) url.pathname += "/";
  return url;
}

/** The server's name for itself and its catalogue, as far as it tells. A server that can't be reached is the load's business to report. */
async function askServer(url: URL, request: UrlRequest): Promise<{ server: string | null; objects: CatalogueObject[] | null }> {
  const objects = request.catalogue === null ? null : await readCatalogueFile(request.catalogue);
  const { Agent, request: fetchUrl } = await import("undici");
  const dispatcher = new Agent({
    maxResponseSize: catalogueMaxBytes,
    connect: { rejectUnauthorized: !request.insecure, ...(request.caPem === null ? {} : { ca: request.caPem }) },
  });
  try {
    const response = await fetchUrl(new URL(catalogueName, url), {
      dispatcher,
      headersTimeout: fetchTimeoutMs,
      bodyTimeout: fetchTimeoutMs,
    });
    const text = await response.body.text();
    const server = response.headers["server"];
    return {
      server: typeof server === "string" ? server : null,
      objects: objects ?? (response.statusCode === 200 ? parseCatalogue(text, `${url.href}${catalogueName}`) : null),
    };
  } catch {
    return { server: null, objects };
  } finally {
    await dispatcher.destroy();
  }
}
