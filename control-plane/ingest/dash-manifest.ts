// Reads a static DASH manifest (ISO/IEC 23009-1) for the files and byte ranges that it names.
import { expandSegmentTemplate } from "./dash-template.js";
import { packageError, resolveReference, type ByteSpan, type PackageReference } from "./package-reference.js";
import { parseXml, type XmlElement } from "./xml-tree.js";

/** A Representation, with what it takes from its AdaptationSet. */
export interface DashTrack {
  /** The first file that it names. */
  path: string;
  attributes: Readonly<Record<string, string>>;
}

export interface DashManifest {
  references: PackageReference[];
  tracks: DashTrack[];
  durationSeconds: number;
}

/**
 * The manifest `text`, which stands at `path` of its package.
 * @throws OperatingError "package-invalid" when it is no manifest, is of a live stream, or names what can't be ingested.
 */
export function parseDashManifest(text: string, path: string): DashManifest {
  const mpd = parseXml(text);
  if ("reason" in mpd) throw packageError(path, `it is not XML: ${mpd.reason}`);
  if (mpd.name !== "MPD") throw packageError(path, `it is not a DASH manifest: its root is <${mpd.name}>`);
  if (mpd.attributes.type === "dynamic") throw packageError(path, "its type is dynamic: live streams can't be ingested");
  const references: PackageReference[] = [];
  const tracks: DashTrack[] = [];
  const periods = childrenOf(mpd, "Period");
  const declaredSeconds = parseIsoDuration(mpd.attributes.mediaPresentationDuration);
  let endSeconds = 0;
  for (const [number, period] of periods.entries()) {
    const startSeconds = parseIsoDuration(period.attributes.start) ?? endSeconds;
    const nextStart = parseIsoDuration(periods[number + 1]?.attributes.start);
    const untilSeconds = nextStart ?? (number === periods.length - 1 ? declaredSeconds : undefined);
    const durationSeconds =
      parseIsoDuration(period.attributes.duration) ?? (untilSeconds === undefined ? undefined : untilSeconds - startSeconds);
    endSeconds = startSeconds + (durationSeconds ?? 0);
    for (const adaptation of childrenOf(period, "AdaptationSet")) {
      for (const representation of childrenOf(adaptation, "Representation")) {
        const line = [mpd, period, adaptation, representation];
        for (const element of line)
          if ("xlink:href" in element.attributes) throw packageError(path, `line ${element.line} takes a part from elsewhere (xlink:href)`);
        const own = referencesOf(line, path, durationSeconds);
        for (const reference of own) references.push(reference);
        const first = own[0];
        if (first) tracks.push({ path: first.path, attributes: { ...adaptation.attributes, ...representation.attributes } });
      }
    }
  }
  if (references.length === 0) throw packageError(path, "it names no media");
  return { references, tracks, durationSeconds: declaredSeconds ?? endSeconds };
}

/** What one representation names; `line` is MPD, Period, AdaptationSet and Representation. */
function referencesOf(line: readonly XmlElement[], path: string, durationSeconds: number | undefined): PackageReference[] {
  // Each BaseURL is relative to the one around it; several beside each other are the same content elsewhere.
  let base = path;
  let hasFile = false;
  for (const element of line) {
    const url = childrenOf(element, "BaseURL")[0]?.text.trim();
    if (!url) continue;
    hasFile = !url.endsWith("/");
    // Of a folder, any name in it says where it is.
    base = resolveReference(base, hasFile ? url : `${url}any`);
  }
  const fileAt = (url: string | undefined, what: string, at: number): string => {
    if (url) return resolveReference(base, url);
    if (!hasFile) throw packageError(path, `line ${at} has ${what} without a file: neither a URL nor a BaseURL`);
    return base;
  };

  for (const kind of ["SegmentBase", "SegmentList", "SegmentTemplate"] as const) {
    const info = inherited(line, kind);
    if (!info) continue;
    const at = info.line;
    const references: PackageReference[] = [];
    const initialization = childrenOf(info, "Initialization")[0];
    if (initialization) {
      const { sourceURL, range } = initialization.attributes;
      references.push({ path: fileAt(sourceURL, "an <Initialization>", at), span: spanOf(range, path, initialization.line) });
    }
    if (kind === "SegmentBase") {
      const index = spanOf(info.attributes.indexRange, path, at);
      references.push({ path: fileAt(undefined, "a <SegmentBase>", at), span: index, isIndex: index !== undefined });
    } else if (kind === "SegmentList") {
      for (const segment of childrenOf(info, "SegmentURL")) {
        const { media, mediaRange } = segment.attributes;
        references.push({ path: fileAt(media, "a <SegmentURL>", segment.line), span: spanOf(mediaRange, path, segment.line) });
      }
    } else {
      const names = expandSegmentTemplate(info, line.at(-1)!.attributes, durationSeconds);
      if ("reason" in names) throw packageError(path, `line ${at}: ${names.reason}`);
      references.push(...names.map((name) => ({ path: resolveReference(base, name), span: undefined })));
    }
    return references;
  }
  if (!hasFile) throw packageError(path, `line ${line.at(-1)!.line} has a <Representation> without a file`);
  return [{ path: base, span: undefined }];
}

/** The `kind` element in force at the innermost element of `line`: attributes and children come from the nearest that has them (5.3.9.1). */
function inherited(line: readonly XmlElement[], kind: string): XmlElement | undefined {
  let result: XmlElement | undefined;
  for (const element of line) {
    const own = childrenOf(element, kind)[0];
    if (!own) continue;
    const names = new Set(own.children.map(({ name }) => name));
    result = {
      ...own,
      attributes: { ...result?.attributes, ...own.attributes },
      children: [...own.children, ...(result?.children ?? []).filter(({ name }) => !names.has(name))],
    };
  }
  return result;
}

function childrenOf(element: XmlElement, name: string): XmlElement[] {
  return element.children.filter((child) => child.name === name);
}

function spanOf(range: string | undefined, path: string, line: number): ByteSpan | undefined {
  if (range === undefined) return undefined;
  const match = /^(\d+)-(\d+)$/.exec(range);
  const [firstByte, lastByte] = [Number(match?.[1]), Number(match?.[2])];
  if (!match || !Number.isSafeInteger(lastByte) || lastByte < firstByte)
    throw packageError(path, `line ${line} has "${range}" for a byte range`);
  return { firstByte, lastByte };
}

/** Seconds of "PT1H2M3.5S" and "P1DT2H"; years and months have no length in seconds and are refused with anything else. */
export function parseIsoDuration(text: string | undefined): number | undefined {
  const match = /^P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?$/.exec(text ?? "");
  if (!match || text === "P") return undefined;
  const [days, hours, minutes, seconds] = match.slice(1).map((part) => Number(part ?? 0));
  return ((days! * 24 + hours!) * 60 + minutes!) * 60 + seconds!;
}
