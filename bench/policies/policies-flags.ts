// Reads the flags of `millrace bench policies`: cache sizes and the recipe of a synthetic trace.
import { parseByteSize } from "../../runtime/byte-size.js";
import { OperatingError } from "../../runtime/operating-error.js";
import type { ZipfTraceOptions } from "./zipf-trace.js";

/** A cache size, absolute or as a share of the trace's footprint. */
export type CacheSize = { bytes: number } | { footprintShare: number };

/** Reads "1GiB,10GiB" or "1%,10%". Throws OperatingError "bad-flag". */
export function parseCacheSizes(text: string): CacheSize[] {
  return text.split(",").map((part) => {
    const percent = /^\s*(\d+(?:\.\d+)?)\s*%\s*$/.exec(part);
    if (percent) {
      const footprintShare = Number(percent[1]) / 100;
      if (footprintShare > 0) return { footprintShare };
    } else {
      const bytes = parseByteSize(part);
      if (bytes !== undefined && bytes > 0) return { bytes };
    }
    throw new OperatingError("bad-flag", `Cannot use --sizes: "${part.trim()}" is neither a size such as 10GiB nor a share such as 5%`);
  });
}

/** The capacity in bytes, at least 1, that `size` is for a trace of this footprint. */
export function capacityOf(size: CacheSize, footprintBytes: number): number {
  return "bytes" in size ? size.bytes : Math.max(1, Math.round(size.footprintShare * footprintBytes));
}

type ZipfRecipe = Omit<ZipfTraceOptions, "seed">;

export const defaultZipf: Readonly<ZipfRecipe> = {
  requests: 2_000_000,
  objects: 100_000,
  alpha: 1,
  bytesMin: 2 ** 20,
  bytesMax: 2 ** 20,
  drift: 0,
  requestsPerSecond: 1000,
};

/** More would not fit beside the trace in memory. */
const zipfObjectsMax = 50_000_000;

/** Reads "objects=100000,alpha=0.9,size=1MiB..64MiB,drift=0.2"; "default" or nothing is the default. Throws OperatingError "bad-flag". */
export function parseZipfRecipe(text: string): ZipfRecipe {
  const recipe = { ...defaultZipf };
  if (text.trim() === "" || text === "default") return recipe;
  for (const part of text.split(",")) {
    const [key = "", value = ""] = part.split("=", 2).map((side) => side.trim());
    switch (key) {
      case "requests":
        recipe.requests = count(key, value, 1, 2 ** 28);
        break;
      case "objects":
        recipe.objects = count(key, value, 1, zipfObjectsMax);
        break;
      case "alpha":
        recipe.alpha = amount(key, value);
        break;
      case "drift":
        recipe.drift = amount(key, value);
        break;
      case "rate":
        recipe.requestsPerSecond = amount(key, value);
        if (recipe.requestsPerSecond === 0) throw badZipf(key, value, "a number above 0");
        break;
      case "size": {
        const [from, to] = value.split("..").map(parseByteSize);
        recipe.bytesMin = from ?? 0;
        recipe.bytesMax = value.includes("..") ? (to ?? 0) : recipe.bytesMin;
        if (recipe.bytesMin < 1 || recipe.bytesMax < recipe.bytesMin) throw badZipf(key, value, "a size such as 1MiB or 1MiB..64MiB");
        break;
      }
      default:
        throw new OperatingError("bad-flag", `Cannot use --zipf: "${key}" is none of requests, objects, alpha, size, drift, rate`);
    }
  }
  return recipe;
}

function count(key: string, text: string, least: number, most: number): number {
  const value = text === "" ? NaN : Number(text);
  if (!Number.isInteger(value) || value < least || value > most) throw badZipf(key, text, `a whole number from ${least} to ${most}`);
  return value;
}

function amount(key: string, text: string): number {
  const value = text === "" ? NaN : Number(text);
  if (!Number.isFinite(value) || value < 0) throw badZipf(key, text, "a number from 0 on");
  return value;
}

function badZipf(key: string, value: string, expected: string): OperatingError {
  return new OperatingError("bad-flag", `Cannot use --zipf: ${key} is "${value}": expected ${expected}`);
}
