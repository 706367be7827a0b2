// Makes a trace from a seed: Zipf's popularity over a catalog whose ranks change hands as time goes on.
import { type Random, seededRandom } from "../load/seeded-random.js";
import { ZipfChooser } from "../load/zipf.js";
import type { TraceRequest } from "./trace-request.js";

export interface ZipfTraceOptions {
  requests: number;
  /** Size of the catalog; not all of it need be asked for. */
  objects: number;
  alpha: number;
  /** Sizes are drawn once per object, log-uniform between the two. */
  bytesMin: number;
  bytesMax: number;
  /** Share of the ranks that are given another object between the first and the last request; evenly spread. 0 is a fixed catalog. */
  drift: number;
  requestsPerSecond: number;
  seed: number;
}

const batchRequests = 4096;

export function* zipfTrace(options: ZipfTraceOptions): Generator<TraceRequest[]> {
  const random = seededRandom(options.seed);
  const chooser = new ZipfChooser(options.objects, options.alpha);
  const objectAtRank = Uint32Array.from({ length: options.objects }, (_, object) => object);
  const bytes = Float64Array.from({ length: options.objects }, () => drawBytes(options, random));
  // Two ranks change hands with each swap.
  const swapsPerRequest = (options.drift * options.objects) / 2 / options.requests;
  let swapsDue = 0;
  let batch: TraceRequest[] = [];
  for (let at = 0; at < options.requests; at++) {
    const object = objectAtRank[chooser.choose(random())]!;
    batch.push({ timeSeconds: at / options.requestsPerSecond, objectId: String(object), sizeBytes: bytes[object]! });
    if (batch.length === batchRequests) {
      yield batch;
      batch = [];
    }
    for (swapsDue += swapsPerRequest; swapsDue >= 1; swapsDue--) {
      const one = Math.floor(random() * options.objects);
      const other = Math.floor(random() * options.objects);
      const moved = objectAtRank[one]!;
      objectAtRank[one] = objectAtRank[other]!;
      objectAtRank[other] = moved;
    }
  }
  if (batch.length > 0) yield batch;
}

function drawBytes({ bytesMin, bytesMax }: ZipfTraceOptions, random: Random): number {
  return Math.round(bytesMin * (bytesMax / bytesMin) ** random());
}
