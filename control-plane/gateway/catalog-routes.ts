// The catalog for browsers, players and editors: each route is one method of CatalogService, with its messages as JSON.
import { z } from "zod";
import { detailsJson, detailsOfJson, titleDetailsBody } from "../catalog/details-json.js";
import { kindNumberOf, titleKinds, kindNameOf } from "../catalog/title-details.js";
import type { CallFacts, ControlPlaneClient } from "../control-plane-client.js";
import { OperatingError } from "../../runtime/operating-error.js";
import { jsonNumber, titleJson } from "./api-answers.js";
import type { Route, RouteAnswer, RouteRequest } from "./http-app.js";
import { jsonAnswer, parseJsonBody } from "./json-body.js";

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

const putTitlesBody = z.strictObject({ titles: z.array(titleDetailsBody).max(1000) });
const publishBody = z.strictObject({
  titleId: text,
  name: text,
  durationSeconds: count.default(0),
  hlsPath: text.default(""),
  dashPath: text.default(""),
  objects: z.array(z.strictObject({ path: text, sizeBytes: z.number().int().min(0), etag: text, chunkBytes: count })).max(10_000),
});

/** Path → route. Errors are those of CatalogService; see http-failure.ts for their statuses. */
export function makeCatalogRoutes(client: ControlPlaneClient): Map<string, Route> {
  const routes = new Map<string, Route>();
  const add = (name: string, method: "GET" | "POST", answer: (request: RouteRequest, facts: CallFacts) => Promise<RouteAnswer>) =>
    routes.set(`/api/catalog/${name}`, {
      name: "catalog",
      methods: [method],
      crossOrigin: true,
      answer: (request) => {
        const { requestId, authorization, clientAddress } = request;
        return answer(request, { requestId, authorization, clientAddress });
      },
    });

  add("search", "GET", async ({ query }, facts) => {
    const age = query.get("maturityMaxAge");
    const answer = await client.searchTitles(
      {
        query: query.get("query") ?? "",
        pageSize: countOf(query, "pageSize"),
        pageToken: query.get("pageToken") ?? "",
        country: query.get("country") ?? "",
        ...(age !== null && { maturityMaxAge: countOf(query, "maturityMaxAge") }),
        kinds: (query.get("kinds") ?? "").split(",").filter(Boolean).map(kindOf),
      },
      facts,
    );
    const hits = answer.hits.map((hit) => ({ ...hit, kind: kindNameOf(hit.kind) ?? "unknown" }));
    return jsonAnswer({ hits, nextPageToken: answer.nextPageToken, hitsTotal: answer.hitsTotal });
  });
  add("titles", "GET", async ({ query }, facts) => {
    const { titles, nextPageToken } = await client.listTitleDetails(
      { pageSize: countOf(query, "pageSize"), pageToken: query.get("pageToken") ?? "", parentId: query.get("parentId") ?? "" },
      facts,
    );
    return jsonAnswer({ titles: titles.map(detailsJson), nextPageToken });
  });
  add("title", "GET", async ({ query }, facts) => {
    const { title } = await client.getTitleDetails({ titleId: query.get("titleId") ?? "" }, facts);
    return jsonAnswer({ title: detailsJson(title!) });
  });
  add("objects", "GET", async ({ query }, facts) => {
    const { title, objects } = await client.getTitle({ titleId: query.get("titleId") ?? "" }, facts);
    return jsonAnswer({
      title: titleJson(title!),
      objects: objects.map((object) => ({ ...object, sizeBytes: jsonNumber(object.sizeBytes) })),
    });
  });
  add("put-titles", "POST", async ({ body }, facts) => {
    const { titles } = parseJsonBody(body, putTitlesBody);
    return jsonAnswer(await client.putTitleDetails({ titles: titles.map(detailsOfJson) }, facts));
  });
  add("publish-title", "POST", async ({ body }, facts) => {
    const { objects, ...rest } = parseJsonBody(body, publishBody);
    const { title } = await client.publishTitle(
      {
        title: { ...rest, sizeBytes: 0n, objectCount: 0, publishedAtUnixMs: 0n },
        objects: objects.map((object) => ({ ...object, sizeBytes: BigInt(object.sizeBytes) })),
      },
      facts,
    );
    return jsonAnswer({ title: titleJson(title!) });
  });
  return routes;
}

function kindOf(word: string) {
  const kind = titleKinds.find((each) => each === word);
  if (!kind) throw new OperatingError("invalid-argument", `Cannot search: kinds must be some of ${titleKinds.join(", ")}`);
  return kindNumberOf(kind);
}

/** A whole number of the query; 0, the control plane's default, where there is none. */
function countOf(query: URLSearchParams, key: string): number {
  const value = query.get(key);
  if (value === null) return 0;
  if (!/^\d{1,9}$/.test(value)) {
    throw new OperatingError(
      "invalid-argument",
      `Cannot read ${key}: Expected a whole number: received ${JSON.stringify(value.slice(0, 50))}`,
    );
  }
  return Number(value);
}
