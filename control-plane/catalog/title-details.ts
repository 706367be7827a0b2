// What a title is beside its objects, as the store keeps it, and its way to and from the protocol's messages.
import {
  type TitleKind,
  TrackKind,
  type Artwork,
  type Encode,
  type TitleDetails,
  type TitleMedia,
} from "../protocol/generated/millrace/catalog/v1/catalog.js";

/** The place in the list, from 1, is the number in the protocol and in the database: parents come before their children. */
export const titleKinds = ["film", "series", "season", "episode"] as const;
export type TitleKindName = (typeof titleKinds)[number];

/** When and where a title may be played. */
export interface TitleWindow {
  /** ISO 3166-1 alpha-2; none means everywhere. */
  countries: string[];
  /** 0 means since ever. */
  fromUnixMs: number;
  /** Not included; 0 means for ever. */
  untilUnixMs: number;
}

/** What people write of a title; the database has it as JSON. */
interface EditorialBody {
  otherNames: string[];
  synopsis: string;
  genres: string[];
  people: string[];
  /** 0 where it is not known. */
  releaseYear: number;
  /** Undefined: as the parent. */
  maturityAge?: number;
  artwork: Artwork[];
  windows: TitleWindow[];
}

export interface EditorialDetails extends EditorialBody {
  titleId: string;
  kind: TitleKindName;
  name: string;
  /** Empty where it has none. */
  parentId: string;
  number: number;
}

export interface StoredDetails extends EditorialDetails {
  media: TitleMedia | undefined;
  published: boolean;
  revision: number;
}

export interface DetailsRow {
  title_id: string;
  kind: number;
  parent_id: string;
  number: number;
  name: string;
  body: string;
  media: string;
  revision: number;
  published: number;
}

export function detailsOf(row: DetailsRow): StoredDetails {
  return {
    titleId: row.title_id,
    kind: titleKinds[row.kind - 1] ?? "film",
    name: row.name,
    parentId: row.parent_id,
    number: row.number,
    otherNames: [],
    synopsis: "",
    genres: [],
    people: [],
    releaseYear: 0,
    artwork: [],
    windows: [],
    ...(JSON.parse(row.body) as Partial<EditorialBody>),
    media: parseMedia(row.media),
    published: row.published !== 0,
    revision: row.revision,
  };
}

/** The same details always have the same text. */
export function bodyTextOf({ otherNames, synopsis, genres, people, releaseYear, maturityAge, artwork, windows }: EditorialBody): string {
  const art = artwork.map(({ purpose, url, width, height, language }) => ({ purpose, url, width, height, language }));
  const times = windows.map(({ countries, fromUnixMs, untilUnixMs }) => ({ countries, fromUnixMs, untilUnixMs }));
  return JSON.stringify({
    otherNames,
    synopsis,
    genres,
    people,
    releaseYear,
    ...(maturityAge !== undefined && { maturityAge }),
    artwork: art,
    windows: times,
  } satisfies EditorialBody);
}

export function mediaTextOf(media: TitleMedia | undefined): string {
  return media ? JSON.stringify(media) : "";
}

/** Empty and undefined where nothing is known. */
export function parseMedia(text: string): TitleMedia | undefined {
  return text === "" ? undefined : (JSON.parse(text) as TitleMedia);
}

export function kindNumberOf(kind: TitleKindName): number {
  return titleKinds.indexOf(kind) + 1;
}

/** Undefined for a kind that this program does not know. */
export function kindNameOf(kind: TitleKind): TitleKindName | undefined {
  return titleKinds[kind - 1];
}

/** `message` has been found in order by `mistakesInDetails`. */
export function editorialOf(message: TitleDetails): EditorialDetails {
  const { titleId, kind, name, parentId, number, otherNames, synopsis, genres, people, releaseYear, maturityAge, artwork } = message;
  return {
    titleId,
    kind: kindNameOf(kind) ?? "film",
    name,
    parentId,
    number,
    otherNames,
    synopsis,
    genres,
    people,
    releaseYear,
    ...(maturityAge !== undefined && { maturityAge }),
    artwork,
    windows: message.windows.map(({ countries, fromUnixMs, untilUnixMs }) => ({
      countries,
      fromUnixMs: Number(fromUnixMs),
      untilUnixMs: Number(untilUnixMs),
    })),
  };
}

export function toProtocolDetails({ kind, windows, media, revision, ...rest }: StoredDetails): TitleDetails {
  return {
    ...rest,
    kind: kindNumberOf(kind),
    windows: windows.map(({ countries, fromUnixMs, untilUnixMs }) => ({
      countries,
      fromUnixMs: BigInt(fromUnixMs),
      untilUnixMs: BigInt(untilUnixMs),
    })),
    ...(media && { media }),
    revision: BigInt(revision),
  };
}

/** "video", "audio" or "subtitles"; "unknown" of a newer control plane. */
export function trackWordOf({ kind }: Encode): string {
  const words: Partial<Record<TrackKind, string>> = {
    [TrackKind.TRACK_KIND_VIDEO]: "video",
    [TrackKind.TRACK_KIND_AUDIO]: "audio",
    [TrackKind.TRACK_KIND_SUBTITLES]: "subtitles",
  };
  return words[kind] ?? "unknown";
}
