// The settings of login: every key, its default, its bounds and why.
import { z } from "zod";
import { byteSizeSetting, durationSetting } from "../../runtime/settings-file.js";
import { secretSetting } from "../authentication-settings.js";
import { isMailUrl } from "./mail-sender.js";

export const loginSettings = z
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
