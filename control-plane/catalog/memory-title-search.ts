// Finds titles with an index in this process' memory, which follows the catalog's revision: the same on every database.
import { setImmediate } from "node:timers/promises";
import MiniSearch, { type SearchOptions, type SearchResult } from "minisearch";
import type { Clock } from "../../runtime/clock.js";
import type { Log } from "../../runtime/log.js";
import { OperatingError } from "../../runtime/operating-error.js";
import type { DetailsStore } from "./details-store.js";
import { rulesInForce, whyUnavailable } from "./title-availability.js";
import type { StoredDetails, TitleKindName, TitleWindow } from "./title-details.js";
import { foldWord, wordsOf } from "./search-words.js";
import type { FoundTitle, TitleHits, TitleQuery, TitleSearch } from "./title-search.js";

/** Indexed between two turns of the event loop: some ten milliseconds. */
const titlesPerStep = 200;
/** What other copies have written is looked for so often, and only when somebody searches. */
const lookEveryMs = 1000;
/** The index and what is kept of a title take about 1.2 KB (docs/catalog.md); what is beyond is not found. */
const titlesMaxDefault = 250_000;

/** A word of more titles says little and costs much, some microseconds per title: rarer words of the query stand for it. */
const titlesOfCommonWord = 5000;
/** Each is compared with every word there is, some milliseconds. */
const fuzzyWordsMax = 3;
const prefixMinLength = 2;

const kindWeights: Readonly<Record<TitleKindName, number>> = { film: 1, series: 1.1, season: 0.4, episode: 0.6 };
const exactNameWeight = 4;
const nameBeginsWeight = 1.5;

/** What is kept of a title beside the index. */
interface KeptTitle {
  titleId: string;
  kind: TitleKindName;
  name: string;
  foldedName: string;
  parentId: string;
  number: number;
  releaseYear: number;
  maturityAge: number | undefined;
  windows: readonly TitleWindow[];
  published: boolean;
}

interface IndexedTitle {
  id: string;
  name: string;
  otherNames: string;
  people: string;
}

/** How much a word may differ: only those that no title has, or all. */
type Tolerance = "unknown" | "all";

export interface MemoryTitleSearchOptions {
  store: Pick<DetailsStore, "listChanged" | "readRevision">;
  clock: Clock;
  log: Log;
  titlesMax?: number;
}

export class MemoryTitleSearch implements TitleSearch {
  readonly #options: MemoryTitleSearchOptions;
  readonly #kept = new Map<string, KeptTitle>();
  readonly #index = new MiniSearch<IndexedTitle>({
    fields: ["name", "otherNames", "people"],
    tokenize: wordsOf,
    processTerm: (word) => word,
  });
  /** Word → titles that had it, those that have lost it since included: to tell rare words from common ones and from typos. */
  readonly #titlesOfWord = new Map<string, number>();
  /** How far the index has got. */
  #seen = { revision: -1, titleId: "" };
  #loaded = false;
  #closed = false;
  #lookedAtMs = -Infinity;
  #looking: Promise<void> | undefined;
  #lookAgain = false;
  #saidFull = false;
  #saidStale = false;

  constructor(options: MemoryTitleSearchOptions) {
    this.#options = options;
  }

  /** Begins to load, so that the first who searches need not wait. */
  start(): void {
    void this.#look();
  }

  changed(): void {
    this.#lookedAtMs = -Infinity;
    // A look that is under way may have passed the change already.
    this.#lookAgain = true;
  }

  close(): void {
    this.#closed = true;
  }

  async search(query: TitleQuery): Promise<TitleHits> {
    if (!this.#loaded) {
      this.start();
      throw new OperatingError("search-loading", "Cannot search: the titles are still being read", { retryable: true, retryAfterMs: 1000 });
    }
    if (this.#options.clock.monotonicMs() - this.#lookedAtMs >= lookEveryMs) await this.#look();
    const words = wordsOf(query.text);
    if (words.length === 0) return { hits: [], total: 0 };
    const telling = this.#tellingOf(words);
    const phrase = words.join(" ");
    let found = this.#find(telling, { query, phrase, tolerance: "unknown", combineWith: "AND" });
    // A typo may be a word too. Then better some words than nothing.
    if (found.length === 0) found = this.#find(telling, { query, phrase, tolerance: "all", combineWith: "AND" });
    if (found.length === 0 && telling.length > 1) found = this.#find(telling, { query, phrase, tolerance: "unknown", combineWith: "OR" });
    return { hits: found.slice(query.offset, query.offset + query.limit), total: found.length };
  }

  /** The words that are not common; the rarest where all are. */
  #tellingOf(words: readonly string[]): readonly string[] {
    const titlesOf = (word: string) => this.#titlesOfWord.get(word) ?? 0;
    const telling = words.filter((word) => titlesOf(word) <= titlesOfCommonWord);
    return telling.length > 0 ? telling : [words.toSorted((a, b) => titlesOf(a) - titlesOf(b))[0]!];
  }

  #find(
    words: readonly string[],
    { query, phrase, tolerance, combineWith }: { query: TitleQuery; phrase: string; tolerance: Tolerance; combineWith: "AND" | "OR" },
  ): FoundTitle[] {
    const { country, maturityMaxAge, kinds } = query;
    const isCommon = (word: string) => (this.#titlesOfWord.get(word) ?? 0) > titlesOfCommonWord;
    const fuzzyWords = new Set(words.filter((word) => tolerance === "all" || !this.#titlesOfWord.has(word)).slice(0, fuzzyWordsMax));
    const options: SearchOptions = {
      combineWith,
      // The last word may be half-written.
      prefix: (word, position, all) => position === all.length - 1 && word.length >= prefixMinLength && !isCommon(word),
      // A swap of two letters counts as two.
      fuzzy: (word) => (word.length <= 3 || !fuzzyWords.has(word) ? 0 : word.length <= 5 ? 1 : 2),
      boost: { name: 4, otherNames: 3, people: 2 },
      weights: { fuzzy: 0.3, prefix: 0.6 },
    };
    const nowUnixMs = this.#options.clock.unixMs();
    const hits: FoundTitle[] = [];
    for (const result of this.#index.search(words.join(" "), options)) {
      const title = this.#kept.get(result.id as string);
      if (!title || (kinds.length > 0 && !kinds.includes(title.kind))) continue;
      const rules = rulesInForce(this.#lineageOf(title));
      // Without a country, only the age counts.
      const seen = country === undefined ? { ...rules, windows: [] } : rules;
      if (whyUnavailable(seen, { country, maturityMaxAge, nowUnixMs })) continue;
      const { titleId, kind, name, parentId, number, releaseYear, published } = title;
      const score = scoreOf(result, title, phrase);
      hits.push({ titleId, kind, name, parentId, number, releaseYear, maturityAge: rules.maturityAge, published, score });
    }
    return hits.sort((a, b) => b.score - a.score || (a.titleId < b.titleId ? -1 : 1));
  }

  #lineageOf(title: KeptTitle): KeptTitle[] {
    const lineage = [title];
    for (let parent = this.#kept.get(title.parentId); parent && lineage.length < 3; parent = this.#kept.get(parent.parentId)) {
      lineage.push(parent);
    }
    return lineage;
  }

  /** Reads what has changed. Does not reject: with the database away it goes on with what it has. */
  async #look(): Promise<void> {
    // Two rounds at most wait for each other: the one that runs, and one that begins after the change.
    while (this.#looking) {
      await this.#looking;
      if (!this.#lookAgain) return;
    }
    this.#lookAgain = false;
    this.#lookedAtMs = this.#options.clock.monotonicMs();
    this.#looking = this.#readChanges()
      .then(
        () => {
          this.#loaded = true;
          this.#saidStale = false;
        },
        (error: unknown) => {
          if (!this.#saidStale) this.#options.log.warn({ err: error }, "the search of titles can't see what has changed");
          this.#saidStale = true;
        },
      )
      .finally(() => (this.#looking = undefined));
    await this.#looking;
  }

  async #readChanges(): Promise<void> {
    const { store } = this.#options;
    if (this.#loaded && (await store.readRevision()) === this.#seen.revision) return;
    for (;;) {
      const titles = await store.listChanged(titlesPerStep, this.#seen);
      if (this.#closed) return;
      for (const title of titles) this.#take(title);
      const last = titles.at(-1);
      if (last) this.#seen = { revision: last.revision, titleId: last.titleId };
      if (titles.length < titlesPerStep) return;
      await setImmediate();
    }
  }

  #take(title: StoredDetails): void {
    const { titleId, kind, name, parentId, number, releaseYear, maturityAge, windows, published } = title;
    const isKnown = this.#kept.has(titleId);
    const { titlesMax = titlesMaxDefault, log } = this.#options;
    if (!isKnown && this.#kept.size >= titlesMax) {
      if (!this.#saidFull) log.warn({ titlesMax }, "the catalog has more titles than the search keeps in memory: new ones are not found");
      this.#saidFull = true;
      return;
    }
    const foldedName = wordsOf(name).join(" ");
    this.#kept.set(titleId, { titleId, kind, name, foldedName, parentId, number, releaseYear, maturityAge, windows, published });
    const indexed: IndexedTitle = {
      id: titleId,
      name: foldWord(name),
      otherNames: foldWord(title.otherNames.join(" ")),
      people: foldWord(title.people.join(" ")),
    };
    for (const word of new Set(wordsOf(`${indexed.name} ${indexed.otherNames} ${indexed.people}`))) {
      this.#titlesOfWord.set(word, (this.#titlesOfWord.get(word) ?? 0) + 1);
    }
    if (isKnown) this.#index.replace(indexed);
    else this.#index.add(indexed);
  }
}

function scoreOf({ score }: SearchResult, { foldedName, kind }: KeptTitle, phrase: string): number {
  const nameWeight = foldedName === phrase ? exactNameWeight : foldedName.startsWith(phrase) ? nameBeginsWeight : 1;
  return score * nameWeight * kindWeights[kind];
}
