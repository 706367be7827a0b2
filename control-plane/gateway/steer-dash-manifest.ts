// A DASH manifest of one appliance becomes one for all ranked ones: a BaseURL for each, and a steering server that says which to use
// (ETSI TS 103 998, "Content Steering for DASH"). Pure.
import type { SteeredPathway } from "./steer-hls-playlist.js";

const escapes: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };

function escapeXml(text: string): string {
  return text.replace(/[&<>"]/g, (character) => escapes[character]!);
}

/** Undefined when `text` is no manifest. */
export function steerDashManifest(
  text: string,
  { pathways, serverUri }: { pathways: readonly SteeredPathway[]; serverUri: string },
): string | undefined {
  const open = /<MPD\b[^>]*>/.exec(text);
  const firstPeriod = text.indexOf("<Period");
  if (!open || firstPeriod === -1) return undefined;
  const start = open.index + open[0].length;
  // A base of the manifest's own goes before the pathways': it becomes part of them.
  const head = text.slice(start, firstPeriod);
  const own = /<BaseURL[^>]*>([^<]*)<\/BaseURL>/.exec(head);
  const headWithout = head.replace(/<BaseURL[^>]*>[^<]*<\/BaseURL>\s*|<ContentSteering\b[^>]*>[^<]*<\/ContentSteering>\s*/g, "");
  const bases = pathways.map(({ id, playlistUrl }) => {
    const url = new URL(own?.[1]?.trim() ?? ".", playlistUrl).href;
    return `<BaseURL serviceLocation="${escapeXml(id)}">${escapeXml(url)}</BaseURL>`;
  });
  const steering = `<ContentSteering defaultServiceLocation="${escapeXml(pathways[0]!.id)}" queryBeforeStart="false">${escapeXml(serverUri)}</ContentSteering>`;
  return `${text.slice(0, start)}\n${bases.join("\n")}\n${steering}${headWithout}${text.slice(firstPeriod)}`;
}
