// CatalogService over gRPC: titles are published, described, listed by pages, read one by one, and found.
import type { Clock } from "../../runtime/clock.js";
import type { Log } from "../../runtime/log.js";
import { OperatingError } from "../../runtime/operating-error.js";
import type { CatalogServiceServer, Title } from "../protocol/generated/millrace/catalog/v1/catalog.js";
import type { ServiceCalls } from "../service-calls.js";
import type { CatalogStore, StoredTitle } from "./catalog-store.js";
import { makeDetailsMethods, type DetailsMethodsOptions } from "./details-methods.js";
import { mistakesInMedia } from "./details-rules.js";
import { encodePageToken, parsePageToken } from "./page-token.js";
import { mediaTextOf } from "./title-details.js";
import { isTitleId, mistakesInTitle } from "./title-rules.js";

const pageSizeDefault = 50;
const pageSizeMax = 500;
const mistakesMax = 10;

export interface CatalogServiceOptions extends DetailsMethodsOptions {
  store: CatalogStore;
  /** Told after every change of objects. */
  onChange: () => void;
  clock: Clock;
  log: Log;
}

export function makeCatalogService(calls: ServiceCalls, options: CatalogServiceOptions): CatalogServiceServer {
  const { store, search, onChange, clock, log } = options;
  return {
    ...makeDetailsMethods(calls, options),

    publishTitle: calls.unary(async (request) => {
      const mistakes = [...mistakesInTitle(request), ...(request.media ? mistakesInMedia(request.media) : [])].slice(0, mistakesMax);
      if (!request.title || mistakes.length > 0) {
        throw new OperatingError("invalid-argument", `Cannot publish the title: ${mistakes.join("; ")}`);
      }
      const objects = request.objects.map((object) => ({ ...object, sizeBytes: Number(object.sizeBytes) }));
      const published: StoredTitle = {
        titleId: request.title.titleId,
        name: request.title.name,
        durationSeconds: request.title.durationSeconds,
        hlsPath: request.title.hlsPath,
        dashPath: request.title.dashPath,
        sizeBytes: objects.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
        objectCount: objects.length,
        publishedAtUnixMs: clock.unixMs(),
      };
      const title = await store.replaceTitle(published, objects, mediaTextOf(request.media));
      onChange();
      search.changed();
      log.info({ titleId: title.titleId, objects: title.objectCount, sizeBytes: title.sizeBytes }, "title published");
      return { title: toProtocolTitle(title) };
    }),

    listTitles: calls.unary(async ({ pageSize, pageToken }) => {
      if (pageSize > pageSizeMax) {
        throw new OperatingError("invalid-argument", `Cannot list titles: page_size must be ${pageSizeMax} at most: received ${pageSize}`);
      }
      const after = pageToken === "" ? undefined : parsePageToken(pageToken);
      if (pageToken !== "" && !after) {
        throw new OperatingError("page-token-invalid", "Cannot list titles: page_token is not one that an earlier page gave");
      }
      const limit = pageSize || pageSizeDefault;
      // One more than asked for tells whether there is a next page.
      const found = await store.listTitles(limit + 1, after);
      const titles = found.slice(0, limit);
      const last = titles.at(-1);
      return { titles: titles.map(toProtocolTitle), nextPageToken: found.length > limit && last ? encodePageToken(last) : "" };
    }),

    getTitle: calls.unary(async ({ titleId }) => {
      const found = await readTitle(store, titleId);
      const objects = found.objects.map((object) => ({ ...object, sizeBytes: BigInt(object.sizeBytes) }));
      return { title: toProtocolTitle(found.title), objects };
    }),
  };
}

/** The title and its objects. @throws OperatingError "title-unknown" or "invalid-argument". */
export async function readTitle(store: CatalogStore, titleId: string) {
  if (!isTitleId(titleId)) {
    throw new OperatingError("invalid-argument", "Cannot find the title: title_id must be 1 to 64 lower-case letters, digits and dashes");
  }
  const found = await store.getTitle(titleId);
  if (!found) throw new OperatingError("title-unknown", `Cannot find title ${titleId}: no such title is published`, { source: titleId });
  return found;
}

function toProtocolTitle(title: StoredTitle): Title {
  return { ...title, sizeBytes: BigInt(title.sizeBytes), publishedAtUnixMs: BigInt(title.publishedAtUnixMs) };
}
