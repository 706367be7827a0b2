// Measures a server that runs already, wherever it is.
import { OperatingError } from "../../runtime/operating-error.js";
import type { CatalogObject } from "../load/load-plan.js";
import { observeServer, type ObserveOptions } from "../observe/observe-server.js";
import { openProgressBar } from "../report/progress-bar.js";
import type { ResultBuilder } from "../report/result-builder.js";
import { catalogName, generatedObjects, parseCatalog, readCatalogFile } from "./object-files.js";
import { runWorkloadRound, type MidRunCommand } from "./run-workload.js";
import type { WorkloadFlags } from "./workload-flags.js";
import { bytesOf, readReplayOf, dropsPageCache } from "./workload-plan.js";
import { flagsOf, type Workload } from "./workload-table.js";

const fetchTimeoutMs = 5000;
const catalogMaxBytes = 256 * 2 ** 20;

export interface UrlRequest {
  /** Base URL of the objects. */
  url: string;
  workloads: readonly Workload[];
  typed: Partial<WorkloadFlags>;
  observe: ObserveOptions;
  caPem: string | null;
  insecure: boolean;
  headers: Record<string, string>;
  /** Folders of the files that the server reads while it serves, where it is on this machine; empty where they are not known. */
  serverFolders: readonly string[];
  /** Catalog file; null asks the server for catalog.json and, where it has none, takes the names that `millrace bench files` makes. */
  catalog: string | null;
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
  if (objects === null) result.note(`${url.href}${catalogName} is no catalog: objects named as by \`millrace bench files\` are asked for`);
  result.addSubject({ name: url.host, version: server, missing: null });
  const observer = await observeServer(url, request.observe);
  const steps = request.workloads.map((workload) => ({ workload, flags: flagsOf(workload, request.typed) }));
  if (observer.source === "metrics") result.note(`what the server spent is from its metrics, ${request.observe.metricsUrl}`);
  if (request.serverFolders.length === 0 && steps.some(({ flags }) => dropsPageCache(flags)))
    result.note("the page cache was not dropped: --server-files FOLDER says which files of a server on this machine to drop from it");
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
            serverFolders: request.serverFolders,
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

/** The server's name for itself and its catalog, as far as it tells. A server that can't be reached is the load's business to report. */
async function askServer(url: URL, request: UrlRequest): Promise<{ server: string | null; objects: CatalogObject[] | null }> {
  const objects = request.catalog === null ? null : await readCatalogFile(request.catalog);
  const { Agent, request: fetchUrl } = await import("undici");
  const dispatcher = new Agent({
    maxResponseSize: catalogMaxBytes,
    connect: { rejectUnauthorized: !request.insecure, ...(request.caPem === null ? {} : { ca: request.caPem }) },
  });
  try {
    const response = await fetchUrl(new URL(catalogName, url), {
      dispatcher,
      headersTimeout: fetchTimeoutMs,
      bodyTimeout: fetchTimeoutMs,
    });
    const text = await response.body.text();
    const server = response.headers["server"];
    return {
      server: typeof server === "string" ? server : null,
      objects: objects ?? (response.statusCode === 200 ? parseCatalog(text, `${url.href}${catalogName}`) : null),
    };
  } catch {
    return { server: null, objects };
  } finally {
    await dispatcher.destroy();
  }
}
