// Titles' details as JSON: a line of an import or export, and what the gateway takes and gives.
import { z } from "zod";
import type { Encode, TitleDetails } from "../protocol/generated/millrace/catalog/v1/catalog.js";
import { kindNameOf, kindNumberOf, titleKinds, trackWordOf } from "./title-details.js";

// The control plane has the exact rules (details-rules.ts); these keep a request from being absurd.
const text = z.string().max(5000);
const count = z
  .number()
  .int()
  .min(0)
  .max(2 ** 32 - 1);
/** "2026-11-23T18:00:00Z", with a zone, so that it is one moment. */
const moment = z.iso.datetime({ offset: true }).transform((time) => BigInt(Math.max(0, Date.parse(time))));

/** One title; all but id, kind and name may be left out. */
export const titleDetailsBody = z.strictObject({
  titleId: text,
  kind: z.enum(titleKinds),
  name: text,
  parentId: text.default(""),
  number: count.default(0),
  otherNames: z.array(text).max(100).default([]),
  synopsis: text.default(""),
  genres: z.array(text).max(100).default([]),
  people: z.array(text).max(1000).default([]),
  releaseYear: count.default(0),
  maturityAge: count.optional(),
  artwork: z
    .array(z.strictObject({ purpose: text, url: text, width: count.default(0), height: count.default(0), language: text.default("") }))
    .max(1000)
    .default([]),
  windows: z
    .array(z.strictObject({ countries: z.array(text).max(1000).default([]), from: moment.optional(), until: moment.optional() }))
    .max(1000)
    .default([]),
  // Of an export; the control plane knows them itself.
  media: z.unknown().optional(),
  published: z.unknown().optional(),
});

export function detailsOfJson(body: z.output<typeof titleDetailsBody>): TitleDetails {
  const { kind, maturityAge, windows, media: _media, published: _published, ...rest } = body;
  return {
    ...rest,
    kind: kindNumberOf(kind),
    ...(maturityAge !== undefined && { maturityAge }),
    windows: windows.map(({ countries, from = 0n, until = 0n }) => ({ countries, fromUnixMs: from, untilUnixMs: until })),
    published: false,
    revision: 0n,
  };
}

/** What is empty or not known is left out. */
export function detailsJson({ kind, windows, artwork, media, published, revision: _revision, ...rest }: TitleDetails) {
  const { titleId, name, ...others } = rest;
  const filled = Object.fromEntries(
    Object.entries(others).filter(
      ([, value]) => value !== undefined && value !== "" && value !== 0 && !(Array.isArray(value) && value.length === 0),
    ),
  ) as Partial<typeof others>;
  return {
    titleId,
    kind: kindNameOf(kind) ?? "unknown",
    name,
    ...filled,
    // A rating of 0 is one.
    ...(rest.maturityAge !== undefined && { maturityAge: rest.maturityAge }),
    ...(artwork.length > 0 && { artwork }),
    ...(windows.length > 0 && {
      windows: windows.map(({ countries, fromUnixMs, untilUnixMs }) => ({
        ...(countries.length > 0 && { countries }),
        ...(fromUnixMs > 0n && { from: new Date(Number(fromUnixMs)).toISOString() }),
        ...(untilUnixMs > 0n && { until: new Date(Number(untilUnixMs)).toISOString() }),
      })),
    }),
    ...(media && { media: { ...media, encodes: media.encodes.map(encodeJson) } }),
    published,
  };
}

export function encodeJson(encode: Encode) {
  const { codecs, width, height, bitsPerSecond, container, path, language, inHls, inDash } = encode;
  return { kind: trackWordOf(encode), codecs, width, height, bitsPerSecond, container, path, language, inHls, inDash };
}
