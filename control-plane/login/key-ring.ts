// The keys that sign access tokens and refresh tokens: shared by all copies through the database, renewed, and kept until what they signed has ended.
import { createHmac, randomBytes, randomUUID, timingSafeEqual } from "node:crypto";
import { errors, exportJWK, generateKeyPair, importJWK, jwtVerify, SignJWT, type CryptoKey, type JWK } from "jose";
import type { Clock } from "../../runtime/clock.js";
import { OperatingError } from "../../runtime/operating-error.js";
import { accountRoles, type AccessClaims, type AccountRole } from "../caller.js";
import type { Store } from "../store/database.js";
import { transact } from "../store/transact.js";
import { openSealed, seal } from "./key-seal.js";

/** How often a copy looks for keys of other copies. */
export const keyReloadEveryMs = 30_000;
/** A new key signs when every copy, and whoever fetched /.well-known/jwks.json, has had time to see it. */
const publishLeadMs = 2 * keyReloadEveryMs + 60_000;
/** Between two looks for a key id that we do not know: whoever makes ids up must not make us ask the database. */
const unknownKeyLookEveryMs = 1000;
/** RFC 7519 4.1.4: some leeway for clocks. */
const clockToleranceS = 5;
const issuer = "millrace";

export interface KeyRingOptions {
  clock: Clock;
  rotateEveryMs: number;
  accessLifetimeMs: number;
  refreshLifetimeMs: number;
  /** Seals the private keys in the database. */
  sealSecret: string | undefined;
}

interface RingKey {
  keyId: string;
  purpose: "access" | "refresh";
  createdAtUnixMs: number;
}

interface AccessKey extends RingKey {
  privateKey: CryptoKey;
  publicKey: CryptoKey;
  publicJwk: JWK;
}

interface RefreshKey extends RingKey {
  secret: Buffer;
}

export class KeyRing {
  readonly #store: Store;
  readonly #options: KeyRingOptions;
  /** Oldest first. */
  #access: AccessKey[] = [];
  #refresh: RefreshKey[] = [];
  #unknownLookedForAtMs = -Infinity;

  private constructor(store: Store, options: KeyRingOptions) {
    this.#store = store;
    this.#options = options;
  }

  /** Makes the first keys where there are none. @throws OperatingError "keys-sealed" when the keys can't be read with the seal secret. */
  static async open(store: Store, options: KeyRingOptions): Promise<KeyRing> {
    const ring = new KeyRing(store, options);
    await ring.reload();
    return ring;
  }

  async signAccess(claims: AccessClaims): Promise<{ token: string; expiresAtUnixMs: number }> {
    const nowS = Math.floor(this.#options.clock.unixMs() / 1000);
    const expiresS = nowS + Math.round(this.#options.accessLifetimeMs / 1000);
    const key = this.#signing(this.#access);
    const { accountId, sessionId, deviceId, roles, profile } = claims;
    const payload = {
      sid: sessionId,
      did: deviceId,
      ...(roles.length > 0 && { roles }),
      ...(profile && { pid: profile.profileId, kids: profile.isKids, age: profile.maturityMaxAge }),
    };
    const token = await new SignJWT(payload)
      .setProtectedHeader({ alg: "EdDSA", kid: key.keyId, typ: "at+jwt" })
      .setIssuer(issuer)
      .setAudience(issuer)
      .setSubject(accountId)
      .setIssuedAt(nowS)
      .setExpirationTime(expiresS)
      .sign(key.privateKey);
    return { token, expiresAtUnixMs: expiresS * 1000 };
  }

  /** @throws OperatingError "access-token-invalid" or "access-token-expired". */
  async verifyAccess(token: string): Promise<AccessClaims> {
    try {
      const { payload } = await jwtVerify(token, async ({ kid }) => (await this.#find(() => this.#access, kid)).publicKey, {
        algorithms: ["EdDSA"],
        typ: "at+jwt",
        issuer,
        audience: issuer,
        requiredClaims: ["sub", "sid", "did", "exp", "iat"],
        currentDate: new Date(this.#options.clock.unixMs()),
        clockTolerance: clockToleranceS,
      });
      const { sub, sid, did, pid, kids, age, roles } = payload;
      return {
        accountId: String(sub),
        sessionId: String(sid),
        deviceId: String(did),
        roles: Array.isArray(roles) ? roles.filter(isAccountRole) : [],
        ...(typeof pid === "string" && { profile: { profileId: pid, isKids: kids === true, maturityMaxAge: Number(age) } }),
      };
    } catch (error) {
      if (error instanceof errors.JWTExpired) {
        throw new OperatingError("access-token-expired", "Cannot accept the access token: it has expired", { cause: error });
      }
      if (error instanceof errors.JOSEError || error instanceof UnknownKey) {
        throw new OperatingError("access-token-invalid", "Cannot accept the access token: it was not made here", { cause: error });
      }
      throw error;
    }
  }

  /** The text of a session's refresh token with this number. It follows from the key, so nothing secret is stored per session. */
  makeRefreshToken(sessionId: string, number: number): string {
    return refreshTokenText(this.#signing(this.#refresh), sessionId, number);
  }

  /** Undefined when it is not one of ours; whether it is still good is in the session's row. */
  async readRefreshToken(text: string): Promise<{ sessionId: string; number: number } | undefined> {
    const [, keyId, sessionId, number] = /^mr\.([\w-]{1,40})\.([\w-]{36})\.(\d{1,9})\.[\w-]{43}$/.exec(text) ?? [];
    if (keyId === undefined || sessionId === undefined) return undefined;
    try {
      const key = await this.#find(() => this.#refresh, keyId);
      const right = Buffer.from(refreshTokenText(key, sessionId, Number(number)));
      const given = Buffer.from(text);
      return right.length === given.length && timingSafeEqual(right, given) ? { sessionId, number: Number(number) } : undefined;
    } catch (error) {
      if (error instanceof UnknownKey) return undefined;
      throw error;
    }
  }

  /** RFC 7517. Has every key whose tokens may still be good, and the next one before it signs. */
  publicKeys(): { keys: JWK[] } {
    return { keys: this.#access.map(({ publicJwk }) => publicJwk) };
  }

  /** New keys now; they sign after `publishLeadMs`. The id of the one for access tokens. */
  async rotate(): Promise<string> {
    const nowUnixMs = this.#options.clock.unixMs();
    const key = await this.#newKey("access", randomUUID(), nowUnixMs);
    const rows = [key, await this.#newKey("refresh", randomUUID(), nowUnixMs)];
    await transact(this.#store, (transaction) => transaction.insertInto("signing_key").values(rows).execute());
    await this.reload();
    return key.key_id;
  }

  /** Takes up the keys of other copies, makes new ones when it is time, forgets those that nothing depends on. To be called every `keyReloadEveryMs`. */
  async reload(): Promise<void> {
    const { clock, rotateEveryMs, accessLifetimeMs, refreshLifetimeMs } = this.#options;
    const nowUnixMs = clock.unixMs();
    const lifetimeMs = { access: accessLifetimeMs, refresh: refreshLifetimeMs };
    const candidates = [await this.#newKey("access", randomUUID(), nowUnixMs), await this.#newKey("refresh", randomUUID(), nowUnixMs)];
    const readRows = () => this.#store.selectFrom("signing_key").selectAll().orderBy("created_at_unix_ms").orderBy("key_id").execute();
    let rows = await readRows();
    const isDue = (purpose: string) => {
      const newest = rows.findLast((row) => row.purpose === purpose);
      return !newest || nowUnixMs - newest.created_at_unix_ms >= rotateEveryMs;
    };
    if (isDue("access") || isDue("refresh")) {
      rows = await transact(this.#store, async (transaction) => {
        rows = await transaction
          .selectFrom("signing_key")
          .selectAll()
          .orderBy("created_at_unix_ms")
          .orderBy("key_id")
          .forUpdate()
          .execute();
        for (const candidate of candidates) {
          if (!isDue(candidate.purpose)) continue;
          await transaction.insertInto("signing_key").values(candidate).execute();
          rows.push(candidate);
        }
        return rows;
      });
    }
    // A key goes when a younger one has signed for so long that nothing of the older can still be good.
    const isOver = ({ purpose, created_at_unix_ms: createdAt }: (typeof rows)[number]) => {
      const youngerSince = nowUnixMs - publishLeadMs - lifetimeMs[purpose] - keyReloadEveryMs;
      return rows.some((row) => row.purpose === purpose && row.created_at_unix_ms > createdAt && row.created_at_unix_ms < youngerSince);
    };
    const over = rows.filter(isOver).map(({ key_id }) => key_id);
    if (over.length > 0) await this.#store.deleteFrom("signing_key").where("key_id", "in", over).execute();
    const kept = rows.filter(({ key_id }) => !over.includes(key_id));
    this.#access = await Promise.all(kept.filter(({ purpose }) => purpose === "access").map((row) => this.#readAccessKey(row)));
    this.#refresh = kept
      .filter(({ purpose }) => purpose === "refresh")
      .map((row) => ({ ...ringKeyOf(row), secret: Buffer.from(openSealed(row.secret, this.#options.sealSecret), "base64url") }));
  }

  /** The youngest that everyone knows; at first the oldest. */
  #signing<Key extends RingKey>(keys: readonly Key[]): Key {
    const knownSince = this.#options.clock.unixMs() - publishLeadMs;
    return keys.findLast(({ createdAtUnixMs }) => createdAtUnixMs <= knownSince) ?? keys[0]!;
  }

  /** Looks into the database once more for an id that another copy may have just made. @throws UnknownKey. */
  async #find<Key extends RingKey>(keys: () => readonly Key[], keyId: string | undefined): Promise<Key> {
    const find = () => keys().find((key) => key.keyId === keyId);
    const nowMs = this.#options.clock.monotonicMs();
    if (!find() && keyId !== undefined && nowMs - this.#unknownLookedForAtMs >= unknownKeyLookEveryMs) {
      this.#unknownLookedForAtMs = nowMs;
      await this.reload();
    }
    const key = find();
    if (!key) throw new UnknownKey();
    return key;
  }

  async #newKey(purpose: "access" | "refresh", keyId: string, nowUnixMs: number) {
    let secret: string;
    if (purpose === "access") {
      const { privateKey } = await generateKeyPair("EdDSA", { crv: "Ed25519", extractable: true });
      secret = JSON.stringify(await exportJWK(privateKey));
    } else {
      secret = randomBytes(32).toString("base64url");
    }
    return { key_id: keyId, purpose, secret: seal(secret, this.#options.sealSecret), created_at_unix_ms: nowUnixMs };
  }

  async #readAccessKey(row: {
    key_id: string;
    purpose: "access" | "refresh";
    secret: string;
    created_at_unix_ms: number;
  }): Promise<AccessKey> {
    const known = this.#access.find(({ keyId }) => keyId === row.key_id);
    if (known) return known;
    const jwk = JSON.parse(openSealed(row.secret, this.#options.sealSecret)) as JWK;
    const { d: _, ...publicPart } = jwk;
    const publicJwk: JWK = { ...publicPart, kid: row.key_id, alg: "EdDSA", use: "sig" };
    const [privateKey, publicKey] = await Promise.all([importJWK(jwk, "EdDSA"), importJWK(publicJwk, "EdDSA")]);
    return { ...ringKeyOf(row), privateKey: privateKey as CryptoKey, publicKey: publicKey as CryptoKey, publicJwk };
  }
}

class UnknownKey extends Error {}

function ringKeyOf(row: { key_id: string; purpose: "access" | "refresh"; created_at_unix_ms: number }): RingKey {
  return { keyId: row.key_id, purpose: row.purpose, createdAtUnixMs: row.created_at_unix_ms };
}

function refreshTokenText({ keyId, secret }: RefreshKey, sessionId: string, number: number): string {
  const mac = createHmac("sha256", secret).update(`${sessionId} ${number}`).digest("base64url");
  return `mr.${keyId}.${sessionId}.${number}.${mac}`;
}

function isAccountRole(role: unknown): role is AccountRole {
  return accountRoles.includes(role as AccountRole);
}
