// The serving workers of one appliance: started together, started again after a crash, reloaded, drained and closed.
import { MessageChannel, Worker, type MessagePort } from "node:worker_threads";
import type { Log } from "../runtime/log.js";
import { OperatingError } from "../runtime/operating-error.js";
import { endNow } from "../runtime/stop-signal.js";
import type { MainToServe, ServeToMain } from "./fill-messages.js";
import type { TokenRules } from "./serve/token-checker.js";
import type { ApplianceSettings } from "./settings.js";
import type { ServeWorkerData } from "./worker-data.js";

/** More crashes than this in `crashWindowMs` are no accident: the process ends, and its supervisor decides. */
const crashesMax = 5;
const crashWindowMs = 60_000;

export interface ServeWorkersOptions {
  settings: ApplianceSettings;
  tokenRules: TokenRules;
  /** What every worker gets, but for its number, its settings and its line to the fill worker. */
  shared: () => Omit<ServeWorkerData, "thread" | "fill" | "settings" | "tokenRules">;
  /** Takes the other end of a worker's line. */
  connectFill: (port: MessagePort) => void;
  log: Log;
}

export class ServeWorkers {
  readonly #options: ServeWorkersOptions;
  readonly #workers: Worker[] = [];
  readonly #crashedAtMs: number[] = [];
  #settings: ApplianceSettings;
  #tokenRules: TokenRules;
  #stopping = false;

  constructor(options: ServeWorkersOptions) {
    this.#options = options;
    this.#settings = options.settings;
    this.#tokenRules = options.tokenRules;
  }

  /** Resolves when all of them listen. @throws OperatingError why one cannot. */
  async start(): Promise<void> {
    await Promise.all(Array.from({ length: this.#settings.workers }, (_, thread) => this.#start(thread)));
  }

  /** New connections, and requests from now on, are served by these settings as far as they can change at all. */
  reload(settings: ApplianceSettings): void {
    this.#settings = settings;
    this.tell({ type: "reload", settings });
  }

  /** Requests from now on are held against these. */
  useTokens(rules: TokenRules): void {
    this.#tokenRules = rules;
    this.tell({ type: "tokens", rules });
  }

  /** Resolves when no response is under way. */
  async drain(): Promise<void> {
    this.#stopping = true;
    await this.tellAndWait({ type: "drain" }, "drained");
  }

  /** Cuts off what is under way. Resolves when the threads are gone. */
  async close(): Promise<void> {
    this.#stopping = true;
    const gone = this.#workers.map((worker) => (worker.threadId < 0 ? undefined : new Promise((resolve) => worker.once("exit", resolve))));
    this.tell({ type: "close" });
    await Promise.all(gone);
  }

  tell(message: MainToServe): void {
    for (const worker of this.#workers) worker.postMessage(message);
  }

  /** Resolves when every worker has answered, or is gone. */
  async tellAndWait(message: MainToServe, answer: ServeToMain["type"]): Promise<void> {
    const answers = this.#workers.map((worker) => untilMessage(worker, answer));
    this.tell(message);
    await Promise.all(answers);
  }

  async #start(thread: number): Promise<void> {
    const { connectFill, log, shared } = this.#options;
    const { port1, port2 } = new MessageChannel();
    connectFill(port2);
    const workerData = {
      ...shared(),
      settings: this.#settings,
      tokenRules: this.#tokenRules,
      thread,
      fill: port1,
    } satisfies ServeWorkerData;
    const worker = new Worker(new URL("serve-worker-main.js", import.meta.url), { workerData, transferList: [port1] });
    this.#workers[thread] = worker;
    let crashed = false;
    worker.on("message", (message: ServeToMain) => {
      if (message.type === "crashed") {
        crashed = true;
        log.error(
          { thread, error: message.error, pinsTakenBack: message.pinsTakenBack, framesLost: message.framesLost },
          "a serving worker has crashed",
        );
      } else if (message.type === "reload-failed")
        log.error({ thread, error: message.error }, "new settings could not be used; the old ones stay");
    });
    worker.on("error", (error) => {
      // It could not put its things in order: its sockets and pins are anyone's guess. Only a fresh start can be trusted.
      log.fatal({ thread, error: error.stack }, "a serving worker has died");
      endNow();
    });
    worker.once("exit", () => {
      if (crashed && !this.#stopping) this.#startAgain(thread);
    });
    await untilMessage(worker, "listening");
  }

  #startAgain(thread: number): void {
    const { log } = this.#options;
    const now = performance.now();
    this.#crashedAtMs.push(now);
    const lately = this.#crashedAtMs.filter((at) => now - at < crashWindowMs).length;
    if (lately > crashesMax) {
      log.fatal({ crashes: lately, withinMs: crashWindowMs }, "serving workers crash again and again");
      endNow();
    }
    this.#start(thread).then(
      () => log.info({ thread }, "a serving worker is up again"),
      (error: unknown) => {
        log.fatal({ thread, error }, "a serving worker cannot be started again");
        endNow();
      },
    );
  }
}

/** Resolves at the first message of that type, or when the worker is gone; rejects when it says that it cannot start. */
function untilMessage(worker: Worker, type: ServeToMain["type"]): Promise<void> {
  return new Promise((resolve, reject) => {
    const finish = () => {
      worker.off("message", receive);
      worker.off("exit", finish);
      resolve();
    };
    const receive = (message: ServeToMain) => {
      if (message.type === "failed") reject(new OperatingError(message.code, message.message));
      else if (message.type === type) finish();
    };
    worker.on("message", receive);
    worker.on("exit", finish);
  });
}
