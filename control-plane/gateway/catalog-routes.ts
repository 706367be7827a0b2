// The catalog for browsers, players and editors: each route is one method of CatalogService, with its messages as JSON.
import { z } from "zod";
import { detailsJson, detailsOfJson, titleDetailsBody } from "../catalog/details-json.js";
import { kindNumberOf, titleKinds, kindNameOf } from "../catalog/title-details.js";
import { OperatingError } from "../../runtime/operating-error.js";
import { jsonNumber, titleJson } from "./api-answers.js";
import { title } from "./api-schemas.js";
import type { Route } from "./http-app.js";
import { getRoute, postRoute } from "./json-route.js";
import type { ControlPlaneCalls } from "./services/call-table.js";

const text = z.string().max(1000);
const count = z
  .number()
  .int()
  .min(0)
  .max(2 ** 32 - 1);

/** What a player says of its device. */
export const deviceBody = z.strictObject({
  codecs: z.array(text).max(1000).default([]),
  heightMax: count.default(0),
});

const publishBody = z.strictObject({
  titleId: text,
  name: text,
  durationSeconds: count.default(0),
  hlsPath: text.default(""),
  dashPath: text.default(""),
  objects: z.array(z.strictObject({ path: text, sizeBytes: z.number().int().min(0), etag: text, chunkBytes: count })).max(10_000),
});

/** An encode of a title. */
export const encode = z.object({
  kind: z.string(),
  codecs: z.array(z.string()),
  width: z.int(),
  height: z.int(),
  bitsPerSecond: z.int(),
  container: z.string(),
  path: z.string(),
  language: z.string(),
  inHls: z.boolean(),
  inDash: z.boolean(),
});

/** What is empty or not known is left out. */
const details = z.looseObject({ titleId: z.string(), kind: z.string(), name: z.string(), published: z.boolean() });
const hit = z.looseObject({ titleId: z.string(), kind: z.string(), name: z.string() });
const wholeNumber = z
  .string()
  .regex(/^\d{1,9}$/, "Expected a whole number")
  .transform(Number);
const object = z.object({ path: z.string(), sizeBytes: z.int(), etag: z.string(), chunkBytes: z.int() });
const page = { pageSize: wholeNumber.default(0), pageToken: z.string().default("") };
const titleId = z.object({ titleId: z.string().default("") });

/** Path → route. Errors are those of CatalogService; see http-failure.ts for their statuses. */
export function makeCatalogRoutes(calls: ControlPlaneCalls): Map<string, Route> {
  return new Map<string, Route>([
    [
      "/api/catalog/search",
      getRoute({
        name: "catalog",
        summary: "Titles whose names, other names or people are like the query, best first",
        call: "searchTitles",
        query: z.object({
          ...page,
          query: z.string().default(""),
          country: z.string().default(""),
          maturityMaxAge: wholeNumber.optional(),
          kinds: z.string().default(""),
        }),
        answer: z.object({ hits: z.array(hit), nextPageToken: z.string(), hitsTotal: z.int() }),
        work: async ({ query, pageSize, pageToken, country, maturityMaxAge, kinds }, facts) => {
          const answer = await calls.searchTitles(
            {
              query,
              pageSize,
              pageToken,
              country,
              ...(maturityMaxAge !== undefined && { maturityMaxAge }),
              kinds: kinds.split(",").filter(Boolean).map(kindOf),
            },
            facts,
          );
          const hits = answer.hits.map((hit) => ({ ...hit, kind: kindNameOf(hit.kind) ?? "unknown" }));
          return { hits, nextPageToken: answer.nextPageToken, hitsTotal: answer.hitsTotal };
        },
      }),
    ],
    [
      "/api/catalog/titles",
      getRoute({
        name: "catalog",
        summary: "A page of the titles' details; of a series or season, with parentId, what is in it",
        call: "listTitleDetails",
        query: z.object({ ...page, parentId: z.string().default("") }),
        answer: z.object({ titles: z.array(details), nextPageToken: z.string() }),
        work: async (query, facts) => {
          const { titles, nextPageToken } = await calls.listTitleDetails(query, facts);
          return { titles: titles.map(detailsJson), nextPageToken };
        },
      }),
    ],
    [
      "/api/catalog/title",
      getRoute({
        name: "catalog",
        summary: "The details of one title",
        call: "getTitleDetails",
        query: titleId,
        answer: z.object({ title: details }),
        work: async (query, facts) => ({ title: detailsJson((await calls.getTitleDetails(query, facts)).title!) }),
      }),
    ],
    [
      "/api/catalog/objects",
      getRoute({
        name: "catalog",
        summary: "The objects of one title",
        call: "getTitle",
        query: titleId,
        answer: z.object({ title, objects: z.array(object) }),
        work: async (query, facts) => {
          const answer = await calls.getTitle(query, facts);
          const objects = answer.objects.map((each) => ({ ...each, sizeBytes: jsonNumber(each.sizeBytes) }));
          return { title: titleJson(answer.title!), objects };
        },
      }),
    ],
    [
      "/api/catalog/put-titles",
      postRoute({
        name: "catalog",
        summary: "For operators: makes or changes titles' details",
        call: "putTitleDetails",
        body: z.strictObject({ titles: z.array(titleDetailsBody).max(1000) }),
        answer: z.object({ changed: z.int() }),
        work: ({ titles }, facts) => calls.putTitleDetails({ titles: titles.map(detailsOfJson) }, facts),
      }),
    ],
    [
      "/api/catalog/publish-title",
      postRoute({
        name: "catalog",
        summary: "For operators: makes or changes a title and its objects",
        call: "publishTitle",
        body: publishBody,
        answer: z.object({ title }),
        work: async ({ objects, ...rest }, facts) => {
          const answer = await calls.publishTitle(
            {
              title: { ...rest, sizeBytes: 0n, objectCount: 0, publishedAtUnixMs: 0n },
              objects: objects.map((each) => ({ ...each, sizeBytes: BigInt(each.sizeBytes) })),
            },
            facts,
          );
          return { title: titleJson(answer.title!) };
        },
      }),
    ],
  ]);
}

function kindOf(word: string) {
  const kind = titleKinds.find((each) => each === word);
  if (!kind) throw new OperatingError("invalid-argument", `Cannot search: kinds must be some of ${titleKinds.join(", ")}`);
  return kindNumberOf(kind);
}
