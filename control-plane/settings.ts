// The settings of the control plane: every key, its default, its bounds and why.
import ipaddr from "ipaddr.js";
import { z } from "zod";
import { logLevels } from "../runtime/log.js";
import { byteSizeSetting, durationSetting } from "../runtime/settings-file.js";
import { isMailUrl } from "./login/mail-sender.js";
import { isStoreUrl } from "./store/database.js";
import { isSharedStateUrl } from "./store/open-shared-state.js";

/** An address to listen on; port 0 picks a free one. */
export function listenSetting(defaultPort: number) {
  return z.strictObject({
    host: z.string().min(1).default("127.0.0.1"),
    port: z.number().int().min(0).max(65535).default(defaultPort),
  });
}

/** "10.0.0.0/8" or "2001:db8::/32". */
export function prefixSetting() {
  return z.string().refine((text) => ipaddr.isValidCIDR(text), {
    error: (issue) => `Expected a prefix such as 10.0.0.0/8 or 2001:db8::/32: received ${JSON.stringify(issue.input)}`,
  });
}

const siteSettings = z.strictObject({
  id: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, "Expected up to 64 letters, digits, dots, dashes and underscores"),
  /** Clients in these prefixes are near; the longest prefix wins. */
  prefixes: z.array(prefixSetting()).default([]),
  /** Order among sites that are equally near: lower first. */
  rank: z.number().int().min(0).max(1_000_000).default(100),
});

export type SiteSettings = z.output<typeof siteSettings>;

const secretSetting = z.string().min(32, "Expected a secret of 32 characters or more, such as the output of: openssl rand -hex 32");

const authenticationSettings = z
  .strictObject({
    /** Whether appliances, operators and players must show who they are. Login's own methods ask for it always. */
    required: z.boolean().default(false),
    /** Appliances' keys are derived from it: millrace control-plane appliance-key. */
    applianceSecret: secretSetting.optional(),
    /** Programs of ours that call, such as gateways; who shows a secret is believed about the player's address. */
    services: z
      .array(z.strictObject({ name: z.string().min(1).max(64), secret: secretSetting }))
      .max(100)
      .default([]),
  })
  .refine(({ required, applianceSecret }) => !required || applianceSecret !== undefined, "required needs an applianceSecret")
  .prefault({});

const loginSettings = z
  .strictObject({
    accessTokens: z
      .strictObject({
        /** How long one is believed without asking the database; a session that is ended is known to all copies at once, where they can tell each other. */
        validFor: durationSetting().default(600_000),
      })
      .refine(({ validFor }) => validFor >= 10_000 && validFor <= 86_400_000, "validFor must be 10s to 1d")
      .prefault({}),
    refreshTokens: z
      .strictObject({
        /** A session that is not used for so long has ended. */
        validFor: durationSetting(Number.MAX_SAFE_INTEGER).default(30 * 86_400_000),
      })
      .refine(({ validFor }) => validFor >= 60_000, "validFor must be 60s or more")
      .prefault({}),
    keys: z
      .strictObject({
        rotateEvery: durationSetting(Number.MAX_SAFE_INTEGER).default(30 * 86_400_000),
        /** Seals the private keys in the database; the same for all copies. Without it whoever reads the database can sign. */
        secret: secretSetting.optional(),
      })
      .refine(({ rotateEvery }) => rotateEvery >= 600_000, "rotateEvery must be 10m or more")
      .prefault({}),
    /** argon2id. OWASP's choice: 19 MiB, two iterations, one lane. */
    passwords: z
      .strictObject({
        memory: byteSizeSetting().default(19 * 2 ** 20),
        iterations: z.number().int().min(1).max(100).default(2),
        /** Below libuv's four threads, which name lookups and files need too. */
        atOnceMax: z.number().int().min(1).max(64).default(2),
        /** More are refused, so that whoever is let in is answered within the time of a call. */
        waitingMax: z.number().int().min(0).max(10_000).default(100),
      })
      .refine(({ memory }) => memory >= 64 * 1024 && memory <= 2 ** 30, "memory must be 64KiB to 1GiB")
      .prefault({}),
    /** Wrong passwords for one mail address, whoever sends them. Each further lock is twice as long. */
    lockout: z
      .strictObject({
        failuresMax: z.number().int().min(2).max(1000).default(10),
        window: durationSetting().default(900_000),
        first: durationSetting().default(900_000),
        max: durationSetting().default(86_400_000),
      })
      .prefault({}),
    /** What one client address (an IPv6 /64) may do within the window. */
    rates: z
      .strictObject({
        window: durationSetting().default(3_600_000),
        signInsPerAddress: z.number().int().min(1).default(200),
        mailsPerAddress: z.number().int().min(1).default(50),
        /** Refreshes, and tokens of mails. A household refreshes six times an hour per device. */
        tokensPerAddress: z.number().int().min(1).default(5000),
        mailsPerRecipient: z.number().int().min(1).default(5),
      })
      .prefault({}),
    devicesMax: z.number().int().min(1).max(1000).default(10),
    profilesMax: z.number().int().min(1).max(100).default(5),
    mail: z
      .strictObject({
        url: z
          .string()
          .refine(isMailUrl, "Expected a URL such as smtp://user:password@host:587 or files:./var/mail")
          .default("files:./var/mail"),
        from: z.string().min(3).max(200).default("Millrace <millrace@localhost>"),
      })
      .prefault({}),
    /** Where players' pages are, for the links in mails. */
    publicUrl: z.url().optional(),
    audit: z.strictObject({ keptFor: durationSetting(Number.MAX_SAFE_INTEGER).default(180 * 86_400_000) }).prefault({}),
  })
  .prefault({});

export type LoginSettings = z.output<typeof loginSettings>;

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
    sites: z
      .array(siteSettings)
      .max(10_000)
      .refine((sites) => new Set(sites.map(({ id }) => id)).size === sites.length, "Two sites have the same id")
      .default([]),
    steering: z
      .strictObject({
        /** The first so many URLs already span `minSites`, so that a player leaves a dead site early. */
        minUrls: z.number().int().min(1).max(10).default(3),
        maxUrls: z.number().int().min(1).max(32).default(10),
        minSites: z.number().int().min(1).max(10).default(2),
      })
      .refine(({ minUrls, maxUrls }) => minUrls <= maxUrls, "minUrls must not be more than maxUrls")
      .refine(({ minUrls, minSites }) => minSites <= minUrls, "minSites must not be more than minUrls")
      .prefault({}),
    authentication: authenticationSettings,
    login: loginSettings,
    log: z.strictObject({ level: z.enum(logLevels).default("info") }).prefault({}),
  })
  .refine(({ database, shared }) => shared === "memory:" || !database.startsWith("sqlite:"), {
    path: ["shared"],
    message: "Copies can't share a SQLite file: set database to a mysql: URL, or leave shared out",
  });

export type ControlPlaneSettings = z.output<typeof controlPlaneSettings>;
export type SteeringSettings = ControlPlaneSettings["steering"];
