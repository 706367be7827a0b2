// The filter after: JSON is compressed for clients that take it.
import { promisify } from "node:util";
import { brotliCompress, constants, gzip } from "node:zlib";
import type { RouteAnswer } from "../http-app.js";

/** Below it the header costs what the compression saves. */
const compressMinBytes = 1024;
/** The level at which brotli takes as long as gzip does. */
const brotliQuality = 4;

const encoders = {
  br: (body: Buffer) => promisify(brotliCompress)(body, { params: { [constants.BROTLI_PARAM_QUALITY]: brotliQuality } }),
  gzip: (body: Buffer) => promisify(gzip)(body),
} as const;

export type ContentCoding = keyof typeof encoders;

/** The answer as it is, or its body compressed. Secrets in it are safe: no other origin can make a client send its token and guess. */
export async function compress(answer: RouteAnswer, acceptEncoding: string): Promise<RouteAnswer> {
  const { status, headers, body } = answer;
  if (status !== 200 || !isJson(headers["Content-Type"] ?? "") || Buffer.byteLength(body) < compressMinBytes) return answer;
  const varying = { ...headers, Vary: "Accept-Encoding" };
  const coding = chooseCoding(acceptEncoding);
  if (!coding) return { ...answer, headers: varying };
  return { status, headers: { ...varying, "Content-Encoding": coding }, body: await encoders[coding](Buffer.from(body)) };
}

/** RFC 9110 12.5.3: the one of ours that the client likes best; undefined for none. */
export function chooseCoding(acceptEncoding: string): ContentCoding | undefined {
  const weights = new Map<string, number>();
  for (const item of acceptEncoding.toLowerCase().split(",")) {
    const [name = "", ...parameters] = item.split(";").map((part) => part.trim());
    const weight = parameters.find((parameter) => parameter.startsWith("q="));
    const parsed = weight === undefined ? 1 : Number(weight.slice(2));
    if (name !== "") weights.set(name, Number.isFinite(parsed) ? parsed : 0);
  }
  const weightOf = (coding: string) => weights.get(coding) ?? weights.get("*") ?? 0;
  const best = weightOf("br") >= weightOf("gzip") ? "br" : "gzip";
  // Identity has the weight 1 unless it is named: a client that likes it better says so.
  const identity = weights.get("identity") ?? 0;
  return weightOf(best) > 0 && weightOf(best) >= identity ? best : undefined;
}

function isJson(contentType: string): boolean {
  return /^application\/([\w.-]+\+)?json\b/.test(contentType);
}
