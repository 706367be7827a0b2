// The settings of the control plane: every key, its default, its bounds and why.
import { z } from "zod";
import { logLevels } from "../runtime/log.js";
import { byteSizeSetting, durationSetting } from "../runtime/settings-file.js";
import { routesSettings, siteSettings, steeringSettings } from "./steering/steering-settings.js";
import { authenticationSettings } from "./authentication-settings.js";
import { billingSettings } from "./billing/billing-settings.js";
import { loginSettings } from "./login/login-settings.js";
import { isStoreUrl } from "./store/database.js";
import { isSharedStateUrl } from "./store/open-shared-state.js";

/** An address to listen on; port 0 picks a free one. */
export function listenSetting(defaultPort: number) {
  return z.strictObject({
    host: z.string().min(1).default("127.0.0.1"),
    port: z.number().int().min(0).max(65535).default(defaultPort),
  });
}

/** A step that waits for longer than a month is no step. */
const escalationWaitMaxMs = 30 * 86_400_000;

/** Keys that are in force at once: each lease carries them all. */
const tokenKeysMax = 100;

export const controlPlaneSettings = z
  .strictObject({
    listen: listenSetting(7000).prefault({}),
    admin: listenSetting(7001).prefault({}),
    /**
     * "sqlite:" and a path, relative to the folder the process runs in; its folder is made when it is missing. For several
     * copies: mysql://user:password@host:port/database (MySQL or MariaDB), ?socket=/path for a Unix socket.
     */
    database: z
      .string()
      .refine(isStoreUrl, "Expected a URL such as sqlite:./var/control-plane.db or mysql://user:password@host:3306/millrace")
      .default("sqlite:./var/control-plane.db"),
    /** What copies tell each other: rate limits, revoked sessions, heartbeats. redis://… or rediss://… (Redis, Valkey) where there are several. */
    shared: z.string().refine(isSharedStateUrl, "Expected memory: or a URL such as redis://host:6379").default("memory:"),
    fleet: z
      .strictObject({
        /** How often appliances say that they live. */
        heartbeatEvery: durationSetting().default(2000),
        /** Silence after which an appliance gets no players: three heartbeats, so that one lost packet costs nothing. */
        expiresAfter: durationSetting().default(6000),
        /** An appliance that drains is drained when nobody has asked it for anything for so long. */
        drainedAfter: durationSetting().default(30_000),
        /** When most heartbeats stop at once nobody is struck off: the fault is probably here. */
        selfPreservation: z
          .strictObject({
            share: z.number().min(0.1).max(1).default(0.5),
            atLeast: z.number().int().min(2).default(5),
            for: durationSetting().default(600_000),
          })
          .prefault({}),
        /** "required": players are sent to a new box when its turn-up checks are green. */
        turnUp: z.enum(["required", "off"]).default("off"),
      })
      .refine((fleet) => fleet.heartbeatEvery >= 50, "heartbeatEvery must be 50ms or more")
      .refine((fleet) => fleet.expiresAfter >= 2 * fleet.heartbeatEvery, "expiresAfter must be at least twice heartbeatEvery")
      .prefault({}),
    lease: z
      .strictObject({
        /** How long an appliance may go on without the control plane: long enough to sit out any repair. */
        validFor: durationSetting(Number.MAX_SAFE_INTEGER).default(7 * 86_400_000),
      })
      .prefault({}),
    tokens: z
      .strictObject({
        /** Whether the URLs that players get carry a token. The appliances have the keys in any case; it is their `tokens.required` that makes a token needed. */
        signUrls: z.boolean().default(false),
        /** Life of a token: longer than the longest title with all its pauses. */
        urlsValidFor: durationSetting(Number.MAX_SAFE_INTEGER).default(12 * 3_600_000),
        /** A token is good only in the client's own /24 (IPv4) or /48 (IPv6). Players that change their network have to ask for new URLs. */
        bindClients: z.boolean().default(false),
        /** A key signs for this long. The next is with every appliance one such period ahead. */
        rotateEvery: durationSetting(Number.MAX_SAFE_INTEGER).default(7 * 86_400_000),
      })
      .refine((tokens) => tokens.rotateEvery >= 1000, "rotateEvery must be 1s or more")
      .prefault({}),
    fillPlan: z
      .strictObject({
        /** How often heat becomes a new plan. Catalog, fleet and editors make one at once. */
        every: durationSetting(Number.MAX_SAFE_INTEGER).default(3_600_000),
        /** Share of each appliance that manifests leave to what requests bring in. */
        demandShare: z.number().min(0).max(0.9).default(0.1),
        /** Share of each appliance's manifest that may be replaced in a day. */
        churnPerDay: z.number().min(0.001).max(1).default(0.05),
        /** Appliances of a cluster that fetch an object from outside of it; the others fill from them. */
        masters: z.number().int().min(1).max(100).default(2),
        escalation: z
          .strictObject({
            /** How long a cluster's masters try the tier above before they ask the origin. */
            masterOriginWait: durationSetting(escalationWaitMaxMs).default(300_000),
            /** How long the others wait for their masters before they ask the tier above, and the origin. */
            memberTierWait: durationSetting(escalationWaitMaxMs).default(600_000),
            memberOriginWait: durationSetting(escalationWaitMaxMs).default(3_600_000),
            /** Bytes per second that one appliance takes from the tier above, and from the origin; no limit without it. */
            tierRate: byteSizeSetting().optional(),
            originRate: byteSizeSetting().optional(),
          })
          .prefault({}),
        liveness: z
          .strictObject({
            /** Clusters that must hold a title before it plays; fewer where there are not so many. 0 = titles play at once. */
            clusters: z.number().int().min(0).max(10_000).default(0),
            /** Appliances of such a cluster that must hold it whole. */
            copies: z.number().int().min(1).max(1000).default(1),
          })
          .prefault({}),
      })
      .prefault({}),
    sites: z
      .array(siteSettings)
      .max(10_000)
      .refine((sites) => new Set(sites.map(({ id }) => id)).size === sites.length, "Two sites have the same id")
      .default([]),
    routes: routesSettings.prefault({}),
    steering: steeringSettings,
    authentication: authenticationSettings,
    login: loginSettings,
    billing: billingSettings,
    log: z.strictObject({ level: z.enum(logLevels).default("info") }).prefault({}),
  })
  .refine(({ database, shared }) => shared === "memory:" || !database.startsWith("sqlite:"), {
    path: ["shared"],
    message: "Copies can't share a SQLite file: set database to a mysql: URL, or leave shared out",
  })
  .refine(({ lease, tokens }) => Math.max(lease.validFor, tokens.urlsValidFor) / tokens.rotateEvery <= tokenKeysMax, {
    path: ["tokens", "rotateEvery"],
    message: `rotateEvery must be at least 1/${tokenKeysMax} of lease.validFor and of urlsValidFor: a key is kept that long after it has signed`,
  });

export type ControlPlaneSettings = z.output<typeof controlPlaneSettings>;
export type FillPlanSettings = ControlPlaneSettings["fillPlan"];
