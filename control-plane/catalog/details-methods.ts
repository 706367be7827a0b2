// The methods of CatalogService that are about titles' details, and their search.
import type { Log } from "../../runtime/log.js";
import { OperatingError } from "../../runtime/operating-error.js";
import type { CatalogServiceServer } from "../protocol/generated/millrace/catalog/v1/catalog.js";
import type { ServiceCalls } from "../service-calls.js";
import { countryPattern, mistakesInDetails, titlesPerPutMax } from "./details-rules.js";
import type { DetailsStore } from "./details-store.js";
import { wordsOf } from "./search-words.js";
import { encodeDetailsPageToken, encodeHitsPageToken, parseDetailsPageToken, parseHitsPageToken } from "./page-token.js";
import { editorialOf, kindNameOf, kindNumberOf, toProtocolDetails } from "./title-details.js";
import { isTitleId } from "./title-rules.js";
import type { TitleSearch } from "./title-search.js";

const pageSizeDefault = 50;
const pageSizeMax = 500;
/** What fits into a message of 4 MiB whatever the titles are like: those with a thousand encodes have 150 KB. */
const pageTextMax = 2 * 2 ** 20;
const hitsPerPageDefault = 20;
const hitsPerPageMax = 100;
/** Nobody turns more pages; each costs a whole search. */
const hitsReachableMax = 1000;
const queryMaxLength = 200;
const queryWordsMax = 8;
const mistakesMax = 10;

export interface DetailsMethodsOptions {
  details: DetailsStore;
  search: TitleSearch;
  log: Log;
}

type DetailsMethods = Pick<CatalogServiceServer, "putTitleDetails" | "getTitleDetails" | "listTitleDetails" | "searchTitles">;

export function makeDetailsMethods(calls: ServiceCalls, { details, search, log }: DetailsMethodsOptions): DetailsMethods {
  return {
    putTitleDetails: calls.unary(async ({ titles }) => {
      if (titles.length === 0 || titles.length > titlesPerPutMax) {
        throw invalid(`Cannot write titles: Expected 1 to ${titlesPerPutMax}: received ${titles.length}`);
      }
      const mistakes = titles.flatMap((title) =>
        mistakesInDetails(title).map((mistake) => `${JSON.stringify(title.titleId.slice(0, 64))}: ${mistake}`),
      );
      if (mistakes.length > 0) throw invalid(`Cannot write titles: ${mistakes.slice(0, mistakesMax).join("; ")}`);
      const changed = await details.put(titles.map(editorialOf));
      if (changed > 0) {
        search.changed();
        log.info({ titles: titles.length, changed }, "details of titles written");
      }
      return { changed };
    }),

    getTitleDetails: calls.unary(async ({ titleId }) => {
      if (!isTitleId(titleId)) throw invalid("Cannot find the title: title_id must be 1 to 64 lower-case letters, digits and dashes");
      const title = await details.get(titleId);
      if (!title)
        throw new OperatingError("title-unknown", `Cannot find title ${titleId}: the catalog has no such title`, { source: titleId });
      return { title: toProtocolDetails(title) };
    }),

    listTitleDetails: calls.unary(async ({ pageSize, pageToken, parentId }) => {
      const limit = checkPageSize(pageSize, { fallback: pageSizeDefault, max: pageSizeMax });
      if (parentId !== "" && !isTitleId(parentId)) throw invalid("Cannot list titles: parent_id must be a title id");
      const after = pageToken === "" ? undefined : parseDetailsPageToken(pageToken);
      if (pageToken !== "" && !after) throw badPageToken();
      const found = await details.list(limit + 1, { ...(parentId !== "" && { parentId }), after });
      let size = 0;
      let count = 0;
      for (const title of found.slice(0, limit)) {
        size += JSON.stringify(title).length;
        if (count > 0 && size > pageTextMax) break;
        count++;
      }
      const titles = found.slice(0, count);
      const last = titles.at(-1);
      const order = last && (parentId === "" ? kindNumberOf(last.kind) : last.number);
      const hasMore = found.length > count && last !== undefined && order !== undefined;
      const nextPageToken = hasMore ? encodeDetailsPageToken({ order, titleId: last.titleId }) : "";
      return { titles: titles.map(toProtocolDetails), nextPageToken };
    }),

    searchTitles: calls.unary(async ({ query, pageSize, pageToken, country, maturityMaxAge, kinds }, { caller }) => {
      const limit = checkPageSize(pageSize, { fallback: hitsPerPageDefault, max: hitsPerPageMax });
      const offset = pageToken === "" ? 0 : parseHitsPageToken(pageToken, hitsReachableMax);
      if (offset === undefined) throw badPageToken();
      if (query.length > queryMaxLength) throw invalid(`Cannot search: query must be ${queryMaxLength} characters at most`);
      if (country !== "" && !countryPattern.test(country)) throw invalid("Cannot search: country must be a code such as DE");
      const kindNames = kinds.map(kindNameOf);
      if (kindNames.includes(undefined) || kinds.length > 10) throw invalid("Cannot search: kinds must be film, series, season or episode");
      const ages = [maturityMaxAge, caller.account?.profile?.maturityMaxAge].filter((age) => age !== undefined);
      const { hits, total } = await search.search({
        text: wordsOf(query).slice(0, queryWordsMax).join(" "),
        limit: Math.min(limit, hitsReachableMax - offset),
        offset,
        country: country || undefined,
        maturityMaxAge: ages.length > 0 ? Math.min(...ages) : undefined,
        kinds: kindNames.filter((kind) => kind !== undefined),
      });
      const end = offset + hits.length;
      return {
        hits: hits.map((hit) => ({ ...hit, kind: kindNumberOf(hit.kind) })),
        nextPageToken: end < Math.min(total, hitsReachableMax) ? encodeHitsPageToken(end) : "",
        hitsTotal: total,
      };
    }),
  };
}

function checkPageSize(pageSize: number, { fallback, max }: { fallback: number; max: number }): number {
  if (pageSize > max) throw invalid(`Cannot list titles: page_size must be ${max} at most: received ${pageSize}`);
  return pageSize || fallback;
}

function invalid(message: string): OperatingError {
  return new OperatingError("invalid-argument", message);
}

function badPageToken(): OperatingError {
  return new OperatingError("page-token-invalid", "Cannot list titles: page_token is not one that an earlier page gave");
}
