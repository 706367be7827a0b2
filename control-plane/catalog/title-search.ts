// The role of whoever finds titles by words. One implementation is in this process; a search server would be another.
import type { TitleKindName } from "./title-details.js";

export interface TitleQuery {
  /** As typed. */
  text: string;
  limit: number;
  /** Hits before the first that is asked for. */
  offset: number;
  /** ISO 3166-1 alpha-2: only what may be played there now; undefined for whatever there is. */
  country: string | undefined;
  /** Only what is for this age; undefined for any. */
  maturityMaxAge: number | undefined;
  /** None means all. */
  kinds: readonly TitleKindName[];
}

export interface FoundTitle {
  titleId: string;
  kind: TitleKindName;
  name: string;
  parentId: string;
  number: number;
  releaseYear: number;
  /** In force: its own, or that of what it is part of. */
  maturityAge: number;
  published: boolean;
  /** Comparable within one answer. */
  score: number;
}

export interface TitleHits {
  /** Best first. */
  hits: FoundTitle[];
  total: number;
}

export interface TitleSearch {
  /** What was written before this call, by this copy or another at least a second ago, is found. @throws OperatingError "search-loading". */
  search(query: TitleQuery): Promise<TitleHits>;
  /** Told after every change that this copy makes. */
  changed(): void;
  close(): void;
}
