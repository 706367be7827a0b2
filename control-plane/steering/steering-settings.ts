// The settings of steering and of the sites it knows: every key, its default, its bounds and why.
import { z } from "zod";
import { byteSizeSetting, durationSetting } from "../../runtime/settings-file.js";
import { parsePrefix } from "./client-address.js";

/** "10.0.0.0/8" or "2001:db8::/32". */
export function prefixSetting() {
  return z.string().refine((text) => parsePrefix(text) !== undefined, {
    error: (issue) => `Expected a prefix such as 10.0.0.0/8 or 2001:db8::/32: received ${JSON.stringify(issue.input)}`,
  });
}

export const siteSettings = z.strictObject({
  id: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, "Expected up to 64 letters, digits, dots, dashes and underscores"),
  /** Clients in these prefixes are near; the longest prefix wins. */
  prefixes: z.array(prefixSetting()).default([]),
  /** Order among sites that are equally near: lower first. */
  rank: z.number().int().min(0).max(1_000_000).default(100),
  /** Degrees; with `steering.geoDatabase`, sites that routes do not tell apart go by distance. */
  location: z.strictObject({ latitude: z.number().min(-90).max(90), longitude: z.number().min(-180).max(180) }).optional(),
});

/** "grpc://127.0.0.1:50051" */
const grpcUrl = z.string().regex(/^grpc:\/\/[^/?#@\s]+:\d{1,5}\/?$/, "Expected a URL such as grpc://127.0.0.1:50051");

const siteId = siteSettings.shape.id;

const bgpSpeakerSettings = z
  .strictObject({
    /** The gRPC port of a gobgpd. */
    url: grpcUrl,
    /** All its routes are this site's … */
    site: siteId.optional(),
    /** … or, by the neighbour that announced them, of these. Routes of other neighbours are passed over. */
    neighbors: z.array(z.strictObject({ address: z.string().min(1), site: siteId })).default([]),
    /** A speaker that cannot be reached keeps its routes for so long. */
    staleAfter: durationSetting().default(300_000),
    /** More prefixes than this are not taken: a leak must not take the table over. */
    prefixesMax: z.number().int().min(1).max(4_000_000).default(1_500_000),
  })
  .refine(({ site, neighbors }) => (site !== undefined) !== neighbors.length > 0, "Expected either site or neighbors");

export type BgpSpeakerSettings = z.output<typeof bgpSpeakerSettings>;

const routesFileSettings = z.strictObject({
  /** Lines "PREFIX SITE [AS-PATH-LENGTH [MED]]"; "#" begins a comment. Read again when it changes. */
  path: z.string().min(1),
});

export const routesSettings = z
  .strictObject({
    files: z.array(routesFileSettings).max(100).default([]),
    bgp: z.array(bgpSpeakerSettings).max(100).default([]),
  })
  .prefault({});

export type RoutesSettings = z.output<typeof routesSettings>;

export const steeringSettings = z
  .strictObject({
    /** The first so many URLs already span `minSites`, so that a player leaves a dead site early. */
    minUrls: z.number().int().min(1).max(10).default(3),
    maxUrls: z.number().int().min(1).max(32).default(10),
    minSites: z.number().int().min(1).max(10).default(2),
    /** What is reserved for a player whose title does not say. */
    nominalBitsPerSecond: z.number().int().min(1).max(1e12).default(5_000_000),
    /** A reservation that is not renewed ends after this: a player asks again each `contentSteeringTtl`. */
    reservationValidFor: durationSetting().default(60_000),
    /** How often players ask whether they should move. Short, so that a box can be emptied soon. */
    contentSteeringTtl: durationSetting().default(10_000),
    /** Signs the names of content-steering sessions. Copies of the control plane need the same one; left out, it is made at start. */
    sessionSecret: z.string().min(16).optional(),
    /** A GeoIP database in MaxMind's format, with cities. */
    geoDatabase: z.string().optional(),
    /** Every decision as a JSON line, for `millrace steer replay`. */
    decisionLog: z
      .strictObject({
        file: z.string().min(1),
        bytesPerFile: byteSizeSetting().default(64 * 2 ** 20),
        files: z.number().int().min(1).max(1000).default(8),
      })
      .optional(),
  })
  .refine(
    ({ reservationValidFor, contentSteeringTtl }) => reservationValidFor >= 2 * contentSteeringTtl && contentSteeringTtl >= 1000,
    "contentSteeringTtl must be 1s or more, and reservationValidFor at least twice that",
  )
  .refine(({ minUrls, maxUrls }) => minUrls <= maxUrls, "minUrls must not be more than maxUrls")
  .refine(({ minUrls, minSites }) => minSites <= minUrls, "minSites must not be more than minUrls")
  .prefault({});

export type SteeringSettings = z.output<typeof steeringSettings>;
