// An HLS multivariant playlist of one appliance becomes one for all ranked ones, each a pathway, with a steering server that says which to use:
// draft-pantos-hls-rfc8216bis 7. Pure.

export interface SteeredPathway {
  id: string;
  /** The playlist's own URL there. */
  playlistUrl: string;
}

export interface PathwayClone {
  "BASE-ID": string;
  ID: string;
  "URI-REPLACEMENT": { HOST: string; "PER-VARIANT-URIS"?: Record<string, string>; "PER-RENDITION-URIS"?: Record<string, string> };
}

const attributePattern = /([A-Z0-9-]+)=("[^"]*"|[^",]*)/g;
const groupAttributes = ["AUDIO", "VIDEO", "SUBTITLES"];

type Attributes = [name: string, value: string][];

function attributesOf(line: string): Attributes {
  return [...line.slice(line.indexOf(":") + 1).matchAll(attributePattern)].map((match) => [match[1]!, match[2]!]);
}

function valueOf(attributes: Attributes, name: string): string | undefined {
  return attributes.find(([key]) => key === name)?.[1];
}

function unquoted(value: string): string {
  return value.replace(/^"|"$/g, "");
}

/** `attributes` with those of `changes` put in place of, or after, its own. */
function withChanges(attributes: Attributes, changes: Record<string, string>): string {
  const kept = attributes.map(([name, value]) => `${name}=${changes[name] ?? value}`);
  const added = Object.entries(changes).filter(([name]) => valueOf(attributes, name) === undefined);
  return [...kept, ...added.map(([name, value]) => `${name}=${value}`)].join(",");
}

/** One variant or rendition of the playlist. */
interface Entry {
  tag: "EXT-X-MEDIA" | "EXT-X-STREAM-INF" | "EXT-X-I-FRAME-STREAM-INF";
  attributes: Attributes;
  uri: string | undefined;
  /** The same for the same entry in every pathway. */
  stableId: string;
}

function readEntries(text: string): { head: string[]; entries: Entry[] } {
  const head: string[] = [];
  const entries: Entry[] = [];
  const lines = text.split(/\r?\n/);
  for (let at = 0; at < lines.length; at++) {
    const line = lines[at]!;
    const tag = /^#(EXT-X-MEDIA|EXT-X-STREAM-INF|EXT-X-I-FRAME-STREAM-INF):/.exec(line)?.[1] as Entry["tag"] | undefined;
    if (!tag) {
      if (line !== "" && !line.startsWith("#EXT-X-CONTENT-STEERING:")) head.push(line);
      continue;
    }
    const attributes = attributesOf(line);
    let uri = valueOf(attributes, "URI");
    if (tag === "EXT-X-STREAM-INF") {
      // The URI is the next line that is no comment.
      while (at + 1 < lines.length && (lines[at + 1] === "" || lines[at + 1]!.startsWith("#"))) at++;
      uri = lines[++at];
    }
    entries.push({ tag, attributes, uri: uri === undefined ? undefined : unquoted(uri), stableId: `e${entries.length}` });
  }
  return { head, entries };
}

/** @param text a multivariant playlist, as an appliance gives it. */
export function steerHlsPlaylist(
  text: string,
  { pathways, serverUri }: { pathways: readonly SteeredPathway[]; serverUri: string },
): string {
  const { head, entries } = readEntries(text);
  const steering = `#EXT-X-CONTENT-STEERING:SERVER-URI="${serverUri}",PATHWAY-ID="${pathways[0]!.id}"`;
  const lines = [head[0] ?? "#EXTM3U", steering, ...head.slice(1)];
  for (const { id, playlistUrl } of pathways) {
    for (const { tag, attributes, uri, stableId } of entries) {
      const absolute = uri === undefined ? undefined : new URL(uri, playlistUrl).href;
      // Renditions have no pathway of their own: a group is of the variants that name it.
      if (tag === "EXT-X-MEDIA") {
        const changes: Record<string, string> = { "GROUP-ID": `"${unquoted(valueOf(attributes, "GROUP-ID") ?? "")}@${id}"` };
        changes["STABLE-RENDITION-ID"] = `"${stableId}"`;
        if (absolute !== undefined) changes["URI"] = `"${absolute}"`;
        lines.push(`#${tag}:${withChanges(attributes, changes)}`);
        continue;
      }
      const changes: Record<string, string> = { "PATHWAY-ID": `"${id}"`, "STABLE-VARIANT-ID": `"${stableId}"` };
      for (const name of groupAttributes) {
        const group = valueOf(attributes, name);
        if (group !== undefined) changes[name] = `"${unquoted(group)}@${id}"`;
      }
      if (tag === "EXT-X-I-FRAME-STREAM-INF" && absolute !== undefined) changes["URI"] = `"${absolute}"`;
      lines.push(`#${tag}:${withChanges(attributes, changes)}`);
      if (tag === "EXT-X-STREAM-INF") lines.push(absolute ?? "");
    }
  }
  return `${lines.join("\n")}\n`;
}

/**
 * How a player makes the pathway of `clone` from that of `baseId`, which it knows. By the whole URI of each entry, since HOST cannot carry a port in
 * every player; HOST is there for those that know nothing else.
 */
export function cloneHlsPathway(text: string, { baseId, clone }: { baseId: string; clone: SteeredPathway }): PathwayClone {
  const { entries } = readEntries(text);
  const urisOf = (isMedia: boolean) =>
    Object.fromEntries(
      entries
        .filter(({ tag, uri }) => (tag === "EXT-X-MEDIA") === isMedia && uri !== undefined)
        .map(({ stableId, uri }) => [stableId, new URL(uri!, clone.playlistUrl).href]),
    );
  return {
    "BASE-ID": baseId,
    ID: clone.id,
    "URI-REPLACEMENT": { HOST: new URL(clone.playlistUrl).host, "PER-VARIANT-URIS": urisOf(false), "PER-RENDITION-URIS": urisOf(true) },
  };
}
