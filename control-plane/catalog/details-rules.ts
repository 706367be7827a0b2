// What a title's details and media must be like.
import type { Encode, TitleDetails, TitleMedia } from "../protocol/generated/millrace/catalog/v1/catalog.js";
import { kindNameOf } from "./title-details.js";
import { isTitleId, whyBadPath } from "./title-rules.js";

/** Titles in one call: some hundred kilobytes, some ten milliseconds of the database. */
export const titlesPerPutMax = 500;
const nameMaxLength = 200;
const otherNamesMax = 20;
const synopsisMaxLength = 4000;
const genresMax = 20;
const genreMaxLength = 50;
const peopleMax = 100;
const personMaxLength = 100;
const artworkMax = 50;
const urlMaxLength = 1000;
/** A window per country and season of rights, for some years. */
const windowsMax = 100;
const countriesPerWindowMax = 300;
const numberMax = 100_000;
const pixelsMax = 100_000;
/** Year 9999. */
const unixMsMax = 253_402_300_799_999n;
const encodesMax = 1000;
const languagesMax = 200;
/** The database's column, and more than RFC 5646's longest. */
const languageMaxLength = 64;

// oxlint-disable-next-line no-control-regex -- control characters are what is looked for
const controlPattern = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]/;
/** BCP 47 in shape: what players do with it is theirs. */
const languagePattern = /^[A-Za-z0-9]{1,8}(-[A-Za-z0-9]{1,8})*$/;
export const countryPattern = /^[A-Z]{2}$/;

/** Which kinds a kind may be in; none means that it has no parent. */
export const parentKindsOf = { film: [], series: [], season: ["series"], episode: ["season", "series"] } as const;

/** Every mistake in one title's details, for a person; empty when they are in order. */
export function mistakesInDetails(title: TitleDetails): string[] {
  const mistakes: string[] = [];
  const text = (key: string, value: string, lengthMax: number, lengthMin = 0) => {
    if (value.trim().length < lengthMin || value.length > lengthMax)
      mistakes.push(`${key} must be ${lengthMin} to ${lengthMax} characters`);
    else if (controlPattern.test(value)) mistakes.push(`${key} has a control character`);
  };
  const list = (key: string, values: readonly string[], countMax: number, lengthMax: number) => {
    if (values.length > countMax) mistakes.push(`${key} must be ${countMax} at most: received ${values.length}`);
    else for (const value of values) text(`an entry of ${key}`, value, lengthMax, 1);
  };
  if (!isTitleId(title.titleId)) mistakes.push("title_id must be 1 to 64 lower-case letters, digits and dashes");
  const kind = kindNameOf(title.kind);
  if (!kind) mistakes.push("kind must be film, series, season or episode");
  else if (parentKindsOf[kind].length === 0 && title.parentId !== "") mistakes.push(`a ${kind} has no parent_id`);
  else if (parentKindsOf[kind].length > 0 && !isTitleId(title.parentId)) {
    mistakes.push(`parent_id of a ${kind} must be the title id of its ${parentKindsOf[kind].join(" or ")}`);
  }
  text("name", title.name, nameMaxLength, 1);
  list("other_names", title.otherNames, otherNamesMax, nameMaxLength);
  text("synopsis", title.synopsis, synopsisMaxLength);
  list("genres", title.genres, genresMax, genreMaxLength);
  list("people", title.people, peopleMax, personMaxLength);
  if (title.number > numberMax) mistakes.push(`number must be ${numberMax} at most`);
  if (title.releaseYear !== 0 && (title.releaseYear < 1800 || title.releaseYear > 9999))
    mistakes.push("release_year must be 1800 to 9999, or 0");
  if ((title.maturityAge ?? 0) > 18) mistakes.push("maturity_age must be 0 to 18");
  if (title.artwork.length > artworkMax) mistakes.push(`artwork must be ${artworkMax} at most: received ${title.artwork.length}`);
  else {
    for (const { purpose, url, width, height, language } of title.artwork) {
      text("purpose of an artwork", purpose, genreMaxLength, 1);
      const why = whyBadArtworkUrl(url);
      if (why !== undefined) mistakes.push(`url of an artwork ${why}`);
      if (width > pixelsMax || height > pixelsMax) mistakes.push(`width and height of an artwork must be ${pixelsMax} at most`);
      if (language !== "" && !isLanguage(language)) mistakes.push("language of an artwork must be a language tag such as de or pt-BR");
    }
  }
  if (title.windows.length > windowsMax) mistakes.push(`windows must be ${windowsMax} at most: received ${title.windows.length}`);
  else for (const window of title.windows) mistakes.push(...mistakesInWindow(window));
  return mistakes;
}

function mistakesInWindow({ countries, fromUnixMs, untilUnixMs }: TitleDetails["windows"][number]): string[] {
  const mistakes: string[] = [];
  if (countries.length > countriesPerWindowMax || !countries.every((country) => countryPattern.test(country))) {
    mistakes.push(`countries of a window must be up to ${countriesPerWindowMax} codes such as DE`);
  }
  if (fromUnixMs > unixMsMax || untilUnixMs > unixMsMax) mistakes.push("a window must be before the year 10000");
  if (untilUnixMs !== 0n && untilUnixMs <= fromUnixMs) mistakes.push("a window must end after it begins");
  return mistakes;
}

/** Every mistake in what ingest found, for a person. */
export function mistakesInMedia({ encodes, audioLanguages, subtitleLanguages }: TitleMedia): string[] {
  if (encodes.length > encodesMax) return [`encodes must be ${encodesMax} at most: received ${encodes.length}`];
  const mistakes = encodes.flatMap(mistakesInEncode);
  for (const languages of [audioLanguages, subtitleLanguages]) {
    if (languages.length > languagesMax || !languages.every(isLanguage))
      mistakes.push(`languages must be up to ${languagesMax} language tags`);
  }
  return mistakes;
}

function mistakesInEncode({ codecs, width, height, container, path, language }: Encode): string[] {
  const mistakes: string[] = [];
  const why = whyBadPath(path);
  if (why !== undefined) mistakes.push(`path of an encode ${why}`);
  if (codecs.length > 10 || !codecs.every((codec) => /^[\w.+-]{1,64}$/.test(codec)))
    mistakes.push("codecs of an encode must be such as avc1.640028");
  if (width > pixelsMax || height > pixelsMax) mistakes.push(`width and height of an encode must be ${pixelsMax} at most`);
  if (!/^[\w.+-]{0,32}$/.test(container)) mistakes.push("container of an encode must be a word such as mp4");
  if (language !== "" && !isLanguage(language)) mistakes.push("language of an encode must be a language tag such as de or pt-BR");
  return mistakes;
}

export function isLanguage(tag: string): boolean {
  return tag.length <= languageMaxLength && languagePattern.test(tag);
}

/** A page shows it: only what can't run as a script there. */
function whyBadArtworkUrl(url: string): string | undefined {
  if (url.length > urlMaxLength) return `is longer than ${urlMaxLength} characters`;
  if (!/^[a-z][a-z0-9+.-]*:/i.test(url)) return whyBadPath(url);
  return /^https?:$/.test(protocolOf(url)) ? undefined : "must be an https URL or the path of an object";
}

function protocolOf(url: string): string {
  try {
    return new URL(url).protocol;
  } catch {
    return "";
  }
}
