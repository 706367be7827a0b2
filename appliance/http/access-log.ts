// One line of JSON for each response, for those who need every one. Buffered: it never makes a response wait.
import sonicBoom from "sonic-boom";
import { counterPlace } from "../counters.js";

/** Lines that wait for the disk, in bytes; beyond it they are dropped, and counted. */
const bufferBytesMax = 4 * 2 ** 20;
/** Written when so much has come together, or after `flushEveryMs`. */
const writeBytes = 64 * 2 ** 10;
const flushEveryMs = 1000;

export interface AccessLogEntry {
  startedUnixMs: number;
  startedAtMs: number;
  client: string;
  method: string;
  /** As it came, without a token and without the query. */
  target: string;
  range: string;
  /** 0 until it is answered. */
  status: number;
}

export class AccessLog {
  readonly #file: sonicBoom.SonicBoom;
  readonly #counters: Float64Array;

  /** Appends to `path`, which several workers share: a line is written in one piece. `onError` hears of a disk that takes no lines. */
  constructor(path: string, { counters, onError }: { counters: Float64Array; onError: (error: Error) => void }) {
    this.#counters = counters;
    this.#file = new sonicBoom.SonicBoom({
      dest: path,
      append: true,
      mkdir: true,
      sync: false,
      minLength: writeBytes,
      maxWrite: 4 * writeBytes,
      maxLength: bufferBytesMax,
      periodicFlush: flushEveryMs,
    });
    this.#file.on("drop", () => this.#counters[counterPlace.accessLogDropped]!++);
    this.#file.on("error", onError);
  }

  /** `bytes`: of the body, handed to the network. */
  write(entry: AccessLogEntry, { bytes, aborted }: { bytes: number; aborted: boolean }): void {
    const { startedUnixMs, startedAtMs, client, method, target, range, status } = entry;
    const line = {
      time: new Date(startedUnixMs).toISOString(),
      client,
      method,
      path: target,
      ...(range === "" ? {} : { range }),
      status,
      bytes,
      ms: Math.round((performance.now() - startedAtMs) * 10) / 10,
      ...(aborted ? { aborted } : {}),
    };
    this.#file.write(`${JSON.stringify(line)}\n`);
  }

  /** Goes on in a new file of the same name: what rotates logs has moved the old one away. */
  reopen(): void {
    this.#file.reopen();
  }

  /** Writes what is left, and closes the file. */
  close(): void {
    this.#file.end();
  }
}
