// Traces in libCacheSim's oracleGeneral format: packed binary records.
import { OperatingError } from "../../runtime/operating-error.js";
import type { TraceParser, TraceRequest } from "./trace-request.js";

// One record, little-endian, no padding (libCacheSim, traceReader/customizedReader/oracle/oracleGeneralBin.h):
//
//   0        4                 12       16                24
//   | u32    | u64             | u32    | i64             |
//   | time s | object id       | size B | next access     |
const recordBytes = 24;
const upperWord = 2 ** 32;

/**
 * The next access (the number of the request that asks for the object again) is not read: it counts in the whole trace, and whoever reads
 * the first requests only needs it to count in those. findNextRequests() makes it anew.
 */
export class OracleGeneralTraceParser implements TraceParser {
  readonly #source: string;
  #rest: Buffer = Buffer.alloc(0);
  #records = 0;

  /** `source` names the trace in error messages. */
  constructor(source: string) {
    this.#source = source;
  }

  push(bytes: Buffer): TraceRequest[] {
    const all = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    const count = Math.floor(all.length / recordBytes);
    const requests: TraceRequest[] = [];
    for (let at = 0; at < count * recordBytes; at += recordBytes) {
      const low = all.readUInt32LE(at + 4);
      const high = all.readUInt32LE(at + 8);
      // Below 2^53 a double holds the id exactly, and is six times faster than a BigInt.
      const objectId = high < 2 ** 21 ? String(high * upperWord + low) : all.readBigUInt64LE(at + 4).toString();
      requests.push({ timeSeconds: all.readUInt32LE(at), objectId, sizeBytes: all.readUInt32LE(at + 12) });
    }
    this.#records += count;
    this.#rest = all.subarray(count * recordBytes);
    return requests;
  }

  end(): TraceRequest[] {
    if (this.#rest.length === 0) return [];
    const reason = `it ends ${this.#rest.length} bytes into record ${this.#records + 1} (a record has ${recordBytes})`;
    throw new OperatingError("trace-malformed", `Cannot read trace ${this.#source}: ${reason}`, { source: this.#source });
  }
}
