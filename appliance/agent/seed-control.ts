// What an operator can do with seeds at a running appliance: export what it holds, import what another held, stop that.
import { randomUUID } from "node:crypto";
import { existsSync, statSync } from "node:fs";
import { isAbsolute } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { z } from "zod";
import { OperatingError } from "../../runtime/operating-error.js";
import { byteSizeSetting } from "../../runtime/settings-file.js";
import type { MainToFill, SeedOrder, SeedProgress } from "../fill-messages.js";
import { seedFileOf } from "../fill/seed-folder.js";

const folder = z.string().min(1).max(4096).refine(isAbsolute, "Expected a path from the root");
const exportRequest = z.strictObject({
  folder,
  selection: z.discriminatedUnion("what", [
    z.strictObject({ what: z.literal("manifest") }),
    z.strictObject({ what: z.literal("prefix"), prefix: z.string().min(1).max(1900) }),
    z.strictObject({ what: z.literal("all") }),
  ]),
  bytesMax: byteSizeSetting().nullable(),
});
const importRequest = z.union([z.strictObject({ folder }), z.strictObject({ from: z.string().min(1).max(1000) })]);

export interface SeedControlOptions {
  tellFill: (message: MainToFill) => void;
}

export class SeedControl {
  readonly #options: SeedControlOptions;
  #progress: SeedProgress | undefined;

  constructor(options: SeedControlOptions) {
    this.#options = options;
  }

  /** Of the last one, or of that under way. */
  get progress(): SeedProgress | undefined {
    return this.#progress;
  }

  note(progress: SeedProgress): void {
    this.#progress = progress;
  }

  /** Begins to export. @throws OperatingError "request-refused", "seed-refused". */
  async export(body: unknown): Promise<{ jobId: string }> {
    const parsed = exportRequest.safeParse(body);
    if (!parsed.success) throw new OperatingError("request-refused", `Cannot export a seed: ${z.prettifyError(parsed.error)}`);
    if (!isFolder(parsed.data.folder)) throw refuse("export", `${parsed.data.folder} is no folder`);
    return this.#start({ kind: "export", ...parsed.data });
  }

  /** Begins to import. @throws OperatingError "request-refused", "seed-refused". */
  async import(body: unknown): Promise<{ jobId: string }> {
    const parsed = importRequest.safeParse(body);
    if (!parsed.success) throw new OperatingError("request-refused", `Cannot import a seed: ${z.prettifyError(parsed.error)}`);
    const request = parsed.data;
    if ("from" in request) {
      const url = request.from.replace(/^appliance:(?:\/\/)?/, "http://");
      if (!/^https?:\/\/[^/]/.test(url) || !URL.canParse(url)) throw refuse("import", `${request.from} is not appliance:HOST:PORT`);
      return this.#start({ kind: "import", from: new URL(url).href });
    }
    if (!existsSync(seedFileOf(request.folder))) throw refuse("import", `there is no ${seedFileOf(request.folder)}`);
    return this.#start({ kind: "import", folder: request.folder });
  }

  async stop(): Promise<{ jobId: string | null }> {
    if (this.#progress?.state !== "running") return { jobId: null };
    this.#options.tellFill({ type: "stop-seed" });
    return { jobId: this.#progress.jobId };
  }

  /** The same again, while it is under way, is not begun twice: whoever was cut off can watch it again. */
  #start(wanted: SeedRequest): { jobId: string } {
    const running = this.#progress;
    if (running?.state === "running") {
      const { kind, ...rest } = wanted;
      const same =
        running.kind === kind && Object.entries(rest).every(([name, value]) => isDeepStrictEqual(Reflect.get(running, name), value));
      if (same) return { jobId: running.jobId };
      throw refuse(kind, `an ${running.kind} is under way; \`millrace seed stop\` ends it`);
    }
    const order: SeedOrder = { jobId: randomUUID(), ...wanted };
    this.#progress = { ...order, state: "running", reason: "", ...nothingYet };
    this.#options.tellFill({ type: "seed", order });
    return { jobId: order.jobId };
  }
}

type SeedRequest = SeedOrder extends infer Order ? (Order extends SeedOrder ? Omit<Order, "jobId"> : never) : never;

const nothingYet = {
  chunks: 0,
  bytes: 0,
  chunksThere: 0,
  bytesThere: 0,
  chunksFailed: 0,
  objectsRefused: 0,
  bytesTotal: null,
  bytesLeft: null,
  failed: [],
  bytesPerSecond: 0,
  etaSeconds: null,
};

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
}

function refuse(what: "export" | "import", reason: string): OperatingError {
  return new OperatingError("seed-refused", `Cannot ${what} a seed: ${reason}`);
}
