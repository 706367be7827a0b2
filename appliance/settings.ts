// Every setting of an appliance: default, bounds, unit and why. Read once at the start, then frozen.
import { availableParallelism } from "node:os";
import { z } from "zod";
import { logLevels } from "../runtime/log.js";
import { byteSizeSetting, durationSetting } from "../runtime/settings-file.js";
import { accessLogFormats } from "./http/access-log.js";
import { fullSlotsPerExtent, slabGeometryOf } from "./disk/slab-geometry.js";
import { isTimeZone, parseTimeOfDay } from "./fill/fill-window.js";
import { frameCountMin } from "./memory/frame-arena.js";
import type { ClientLimits } from "./serve/client-limiter.js";
import { parseClientPrefix } from "./serve/client-prefix.js";
import { unknownVariablesOf } from "./serve/secure-link.js";

const port = z.number().int().min(0).max(65_535);
const name = z.string().regex(/^[a-zA-Z0-9][a-zA-Z0-9._-]{0,62}$/, "Expected letters, digits, dots and dashes, at most 63");

const clientPrefix = z
  .string()
  .refine((text) => parseClientPrefix(text) !== undefined, "Expected an address, or a prefix such as 198.51.100.0/24");

/** Serving workers beyond this only share the same memory bandwidth. */
const workersMax = 64;
/** Slot headers and the frame table are made for chunks up to this. */
const chunkBytesMax = 64 * 2 ** 20;

const timeOfDay = z.string().refine((text) => parseTimeOfDay(text) !== undefined, "Expected a time of day such as 02:00, to 24:00");

const fillSettings = z
  .strictObject({
    /** Chunks fetched at once for requests and manifest together. */
    fetches: z.number().int().min(1).max(1024).default(64),
    /** Chunks that wait for their fetch; beyond it requests get 503, so that a dead upstream costs bounded memory. */
    waiting: z.number().int().min(1).max(1_000_000).default(4096),
    /** Chunks fetched at once for the manifest alone, so that requests always find a place. */
    manifestFetches: z.number().int().min(1).max(256).default(4),
    /** Connections to each upstream. */
    connections: z.number().int().min(1).max(256).default(32),
    /** A host that is up answers a connection within this. */
    connectTimeout: durationSetting().default(2000),
    /** Longest silence of an upstream before it is given up for the next. */
    silenceTimeout: durationSetting().default(10_000),
    /** A source that has not given a chunk by then is not given up, but the next one is asked as well. Sources that are known to be faster are given less. */
    hedgeAfter: durationSetting().default(1000),
    /** Longest time for one chunk over all sources: a source that sends a byte now and then is no reason to wait for ever. */
    totalTimeout: durationSetting().default(30_000),
    /** Chunks of the range that a response is sending which are asked for before their turn, when they come from upstream. */
    readAhead: z.number().int().min(0).max(64).default(2),
    /** Hours in which the manifest is filled, by the clock on the wall; none: always. Urgent objects are filled at any hour. */
    windows: z
      .array(z.strictObject({ from: timeOfDay, to: timeOfDay }))
      .max(24)
      .default([]),
    /** Whose clock on the wall: an IANA name; by default the system's. */
    timeZone: z
      .string()
      .refine(isTimeZone, "Expected the name of a time zone, such as Europe/Berlin")
      .default(() => Intl.DateTimeFormat().resolvedOptions().timeZone),
    /** What the manifest takes at most, of all sources together; without it as fast as it goes. */
    maxBytesPerSecond: byteSizeSetting().optional(),
    /** What the manifest writes to one disk at most; without it only reads limit it. */
    maxDiskBytesPerSecond: byteSizeSetting().optional(),
    /** A disk whose reads have a p99 above this is written to less, down to 4 MiB a second. */
    readP99Limit: durationSetting().default(50),
  })
  .prefault({});

const diskSettings = z
  .strictObject({
    /** Part of every disk for chunks that requests bring in and the manifest does not name. Without a manifest they have all of it. */
    demandShare: z.number().min(0).max(1).default(0.1),
    /**
     * A batch of so many bytes is written and synced at once. A sync costs a spinning disk some 20 to 50 ms whatever it holds; 32 MiB take it 200 ms to
     * write. Each byte that waits holds memory.
     */
    syncBytes: byteSizeSetting().default(32 * 2 ** 20),
    /** A chunk waits no longer than this for its batch. A power cut loses what was fetched in this time, and it is fetched again. */
    syncEvery: durationSetting().default(1000),
    /** A batch that takes longer is stuck: its disk gets no more chunks until it ends. Longer than the longest pause of a disk that is well. */
    writeTimeout: durationSetting().default(30_000),
  })
  .prefault({});

const pacingSettings = z
  .strictObject({
    /** For responses whose token names no rate of its own. Without it these are sent as fast as the client takes them. */
    bytesPerSecond: byteSizeSetting().optional(),
    /** Sent at once when a paced response begins, so that a player starts fast. */
    burst: byteSizeSetting().default(512 * 1024),
    /** Whether a player may ask for less than its rate (CMCD rtp). */
    followPlayers: z.boolean().default(false),
  })
  .prefault({});

const tokenSettings = z
  .strictObject({
    /** Whether a request without a token is refused. A wrong token is refused in any case, once there are keys. */
    required: z.boolean().default(false),
    /** All of them count: to rotate, add the new key everywhere, sign with it, take the old one away when its last token has expired. */
    keys: z
      .array(
        z.strictObject({
          id: z.string().regex(/^[A-Za-z0-9-]{1,63}$/, "Expected letters, digits and dashes, at most 63"),
          /** Shorter ones could be guessed by trying. */
          secret: z.string().min(16),
          /** RFC 3339; from then on the key's tokens are refused. */
          until: z.iso.datetime({ offset: true }).optional(),
        }),
      )
      .max(64)
      .default([]),
    /** Sessions whose tokens are refused before they expire. */
    revokedSessions: z.array(z.string()).max(1_000_000).default([]),
    /** The value of nginx's secure_link_md5, to take links that were signed for nginx: "$secure_link_expires$uri secret". */
    secureLinkMd5: z.string().min(1).optional(),
  })
  .prefault({});

export const applianceSettings = z
  .strictObject({
    listen: z.strictObject({
      host: z.string().default("127.0.0.1"),
      /** 0 picks a free port. */
      port,
      /** PEM files; without them the appliance speaks plain HTTP. `others` are for the names in them, by SNI; the first is for all other clients. */
      tls: z
        .strictObject({
          cert: z.string(),
          key: z.string(),
          others: z
            .array(z.strictObject({ cert: z.string(), key: z.string() }))
            .max(1000)
            .default([]),
        })
        .optional(),
      /** What players put before a path, when it is not the listening address. */
      publicUrl: z.url({ protocol: /^https?$/ }).optional(),
    }),
    admin: z.strictObject({ host: z.string().default("127.0.0.1"), port: port.default(8081) }).prefault({}),
    /** Serving threads; one core each. One core is left to fill and to the agent where there are more than two. */
    workers: z
      .number()
      .int()
      .min(1)
      .max(workersMax)
      .default(() => Math.max(1, Math.min(workersMax, availableParallelism() > 2 ? availableParallelism() - 1 : availableParallelism()))),
    /** The frame arena: what is served comes from here. */
    ram: byteSizeSetting().default(2 ** 30),
    memory: z
      .strictObject({
        /** So much of the ram is for the head of the manifest: its best objects are read from disk and stay in memory. */
        pinManifest: byteSizeSetting().optional(),
      })
      .prefault({}),
    chunk: byteSizeSetting().default(2 ** 20),
    /** Folder of the LMDB index; on the system disk, best mirrored. Made when it is missing. */
    index: z.string().default("./var/index"),
    /** Folders on data disks. They must be there: a disk that is not mounted must not be filled up on the system disk. */
    disks: z
      .array(z.strictObject({ path: z.string().min(1), size: byteSizeSetting() }))
      .min(1)
      .max(1024),
    disk: diskSettings,
    miss: z.enum(["fill", "redirect", "reject"]).default("fill"),
    /** In order of preference. */
    upstreams: z
      .array(
        z.strictObject({
          url: z.string(),
          /** For s3: the server, when it is not Amazon's. */
          endpoint: z.string().optional(),
          /** For s3. */
          region: z.string().optional(),
          /** What the manifest takes from it at most per second. Requests are not held back. */
          maxBytesPerSecond: byteSizeSetting().optional(),
        }),
      )
      .max(64),
    tokens: tokenSettings,
    /**
     * By address: 198.51.100.0/24, 2001:db8::/32, or one. Whoever is in `deny`, or not in an `allow` that has any, gets 403. For those in `unlimited`
     * the limits per client do not count: many may stand behind one address.
     */
    clients: z
      .strictObject({
        allow: z.array(clientPrefix).max(1000).default([]),
        deny: z.array(clientPrefix).max(1000).default([]),
        unlimited: z.array(clientPrefix).max(1000).default([]),
      })
      .prefault({}),
    pacing: pacingSettings,
    /** Chunks that a player names in CMCD (nor, nrr) as its next are brought into memory before it asks. */
    cmcd: z.strictObject({ warm: z.boolean().default(true) }).prefault({}),
    controlPlane: z
      .strictObject({
        url: z.string(),
        /** Shows who we are where the control plane asks: millrace control-plane appliance-key --id ID. */
        key: z
          .string()
          .regex(/^[\w-]{43}$/, "Expected the output of millrace control-plane appliance-key")
          .optional(),
      })
      .optional(),
    site: z
      .strictObject({ id: name, cluster: name.optional(), role: z.enum(["edge", "storage"]).default("edge") })
      .prefault({ id: "site-1" }),
    fill: fillSettings,
    heat: z
      .strictObject({
        /** What was served is told to the control plane in intervals of this length. */
        interval: durationSetting(3_600_000).default(300_000),
      })
      .prefault({}),
    /** An object is checked for a newer version upstream when what is known of it is older than this, and someone asks for it. */
    revalidateAfter: durationSetting().default(60_000),
    limits: z
      .strictObject({
        /** Responses under way at once in one worker; each holds at most one frame. */
        requestsPerWorker: z.number().int().min(1).max(1_000_000).default(20_000),
        /** Of these, requests by which other appliances fill; beyond it they get 503 and ask another source. */
        fillRequestsPerWorker: z.number().int().min(0).max(1_000_000).default(256),
        /** Objects that one worker keeps at hand; about 1 KiB each. */
        objectsPerWorker: z.number().int().min(1).max(10_000_000).default(100_000),
        /** Of one client, an IPv4 address or an IPv6 /64; beyond it 429. Without them nothing is counted. */
        perClient: z
          .strictObject({
            connections: z.number().int().min(1).max(1_000_000).optional(),
            requests: z.number().int().min(1).max(1_000_000).optional(),
            requestsPerSecond: z.number().int().min(1).max(1_000_000).optional(),
          })
          .optional(),
        /** Reads that one worker has under way at one disk: enough to keep it busy, few enough that others get their turn. */
        readsPerDisk: z.number().int().min(1).max(256).default(8),
        /**
         * Chunks are read past the system's page cache, where the file system can: a third of the processor time, and no second copy of what is in
         * `ram` already. Only with chunks of whole pages (4 KiB).
         */
        directReads: z.boolean().default(true),
        /** Reads that wait for one disk, per worker; beyond it the answer is 503. */
        waitingReadsPerDisk: z.number().int().min(0).max(1_000_000).default(1024),
        /** A read that is not done by then is answered from upstream; a few in a row make its disk suspect. */
        diskReadTimeout: durationSetting().default(1000),
      })
      .prefault({}),
    scrub: z
      .strictObject({
        /** Every slot of every disk is read and checked once in this time. */
        every: durationSetting(Number.MAX_SAFE_INTEGER).default(30 * 86_400_000),
      })
      .prefault({}),
    drain: z
      .strictObject({
        /** Responses that are not done by then are cut off. */
        deadline: durationSetting().default(30_000),
      })
      .prefault({}),
    /** A line per response, appended to this file; SIGHUP opens it anew. Without it requests are counted only. */
    accessLog: z
      .strictObject({
        path: z.string().min(1),
        /** JSON lines, or the W3C's extended log format. */
        format: z.enum(accessLogFormats).default("json"),
        /** The file is moved away when it is so large, or so old. Without both something else has to. */
        rotateAt: byteSizeSetting().optional(),
        rotateEvery: durationSetting(Number.MAX_SAFE_INTEGER).optional(),
        /** Files that were moved away and are kept: PATH.1 is the newest. */
        keep: z.number().int().min(0).max(1000).default(5),
      })
      .optional(),
    /** Answers say in Server-Timing where they came from and how long their first byte was waited for. */
    serverTiming: z.boolean().default(false),
    log: z.strictObject({ level: z.enum(logLevels).default("info") }).prefault({}),
  })
  .superRefine((settings, context) => {
    if (settings.chunk > chunkBytesMax) context.addIssue({ code: "custom", path: ["chunk"], message: "Expected at most 64MiB" });
    if (settings.ram < settings.chunk * frameCountMin) {
      context.addIssue({
        code: "custom",
        path: ["ram"],
        message: `Expected room for at least ${frameCountMin} chunks of ${settings.chunk} bytes`,
      });
    }
    if ((settings.memory.pinManifest ?? 0) > settings.ram / 3) {
      // While the head changes, the old one and the new one are both kept.
      context.addIssue({ code: "custom", path: ["memory", "pinManifest"], message: "Expected at most a third of ram" });
    }
    const paths = new Set<string>();
    const { extentBytes } = slabGeometryOf(settings.chunk);
    for (const [place, disk] of settings.disks.entries()) {
      if (paths.has(disk.path))
        context.addIssue({ code: "custom", path: ["disks", place, "path"], message: `${disk.path} is named twice` });
      paths.add(disk.path);
      if (disk.size < extentBytes) {
        context.addIssue({
          code: "custom",
          path: ["disks", place, "size"],
          message: `Expected room for at least one extent of ${extentBytes} bytes: ${fullSlotsPerExtent} chunks with their headers, in whole pages`,
        });
      }
    }
    const { keys, required, secureLinkMd5 } = settings.tokens;
    // A control plane brings keys with the lease.
    if (required && keys.length === 0 && secureLinkMd5 === undefined && !settings.controlPlane) {
      context.addIssue({
        code: "custom",
        path: ["tokens", "required"],
        message: "tokens.keys is empty and there is no controlPlane to bring any, so every request would be refused",
      });
    }
    if (new Set(keys.map(({ id }) => id)).size < keys.length) {
      context.addIssue({ code: "custom", path: ["tokens", "keys"], message: "two keys have the same id" });
    }
    const unknown = unknownVariablesOf(secureLinkMd5 ?? "");
    if (unknown.length > 0) {
      context.addIssue({
        code: "custom",
        path: ["tokens", "secureLinkMd5"],
        message: `${unknown.join(", ")} is not known here; $secure_link_expires, $uri and $remote_addr are`,
      });
    }
    if (settings.miss === "redirect" && !settings.upstreams.some(({ url }) => /^https?:/.test(url))) {
      context.addIssue({ code: "custom", path: ["miss"], message: "redirect needs an upstream that players can reach by http or https" });
    }
  });

export type ApplianceSettings = z.output<typeof applianceSettings>;

/** What one client may take; what is not set is without limit. */
export function clientLimitsOf({ limits }: Pick<ApplianceSettings, "limits">): ClientLimits {
  const { connections = Infinity, requests = Infinity, requestsPerSecond = Infinity } = limits.perClient ?? {};
  return { connections, requests, requestsPerSecond };
}
