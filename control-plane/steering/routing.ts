// Puts the sources of routes together: the settings, files of prefixes, BGP speakers.
import type { Clock } from "../../runtime/clock.js";
import type { Log } from "../../runtime/log.js";
import type { ControlPlaneSettings } from "../settings.js";
import { BgpSpeaker } from "./bgp-speaker.js";
import { parsePrefix } from "./client-address.js";
import { RouteTable } from "./route-table.js";
import { RoutesFile } from "./routes-file.js";
import type { SitePlace } from "./site-order.js";

/** How often files are looked at, and speakers that are away counted. */
const lookEveryMs = 1000;

export interface Routing {
  table: RouteTable;
  /** A site that is in no settings has come with an appliance: it stands last among equals. */
  noteSite(siteId: string): void;
  status(): { prefixes: number; files: { path: string; routes: number }[]; bgp: { url: string; connected: boolean; routes: number }[] };
  close(): void;
}

/** @throws OperatingError when a file of prefixes cannot be used; speakers that are away are waited for. */
export function openRouting(
  { sites, routes }: Pick<ControlPlaneSettings, "sites" | "routes">,
  { clock, log }: { clock: Clock; log: Log },
): Routing {
  const table = new RouteTable();
  for (const { id, rank, location, prefixes } of sites) {
    const place: SitePlace = { siteId: id, rank };
    if (location) place.location = location;
    table.setSite(place);
    for (const prefix of prefixes) table.announce(parsePrefix(prefix)!, { source: `settings:${id}`, siteId: id, asPathLength: 0, med: 0 });
  }
  const files = routes.files.map(({ path }) => ({ path, file: new RoutesFile(path, { table, log }) }));
  for (const { file } of files) file.read();
  const speakers = routes.bgp.map((speaker) => new BgpSpeaker(speaker, { table, clock, log }));
  for (const speaker of speakers) speaker.start();
  const timer = setInterval(() => {
    for (const { file } of files) file.follow();
    for (const speaker of speakers) speaker.expire();
  }, lookEveryMs);
  return {
    table,
    noteSite: (siteId) => {
      if (!table.hasSite(siteId)) table.setSite({ siteId, rank: Infinity });
    },
    status: () => ({
      prefixes: table.size,
      files: files.map(({ path, file }) => ({ path, routes: file.size })),
      bgp: speakers.map((speaker) => speaker.status),
    }),
    close: () => {
      clearInterval(timer);
      for (const speaker of speakers) speaker.close();
    },
  };
}
