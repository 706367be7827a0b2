// Who makes a call: what the credentials in its metadata prove.
import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import { OperatingError } from "../runtime/operating-error.js";

export const accountRoles = ["admin", "operator"] as const;
export type AccountRole = (typeof accountRoles)[number];

/** What an access token says. */
export interface AccessClaims {
  accountId: string;
  sessionId: string;
  deviceId: string;
  roles: readonly AccountRole[];
  /** Undefined until a profile is chosen. */
  profile?: { profileId: string; isKids: boolean; maturityMaxAge: number };
}

/** A call may come from an account through a service (the gateway); then it has both. */
export interface Caller {
  account?: AccessClaims;
  applianceId?: string;
  /** The name beside its secret in the settings. */
  service?: string;
}

export interface Credentials {
  /** "Bearer ACCESS-TOKEN" or "Appliance ID:KEY"; empty for none. */
  authorization: string;
  /** A service's secret; empty for none. */
  serviceSecret: string;
}

export interface AuthenticatorOptions {
  /** @throws OperatingError "access-token-invalid" or "access-token-expired". */
  verifyAccess: (token: string) => Promise<AccessClaims>;
  isSessionEnded: (sessionId: string) => Promise<boolean>;
  applianceSecret: string | undefined;
  services: readonly { name: string; secret: string }[];
}

export class Authenticator {
  readonly #options: AuthenticatorOptions;

  constructor(options: AuthenticatorOptions) {
    this.#options = options;
  }

  /**
   * What the credentials prove; nothing when there are none.
   *
   * @throws OperatingError "unauthenticated", "access-token-invalid", "access-token-expired" or "session-ended" when there are some and they are not good.
   */
  async callerOf({ authorization, serviceSecret }: Credentials): Promise<Caller> {
    const caller: Caller = {};
    if (serviceSecret !== "") {
      const service = this.#options.services.find(({ secret }) => isSame(secret, serviceSecret));
      if (!service) throw new OperatingError("unauthenticated", "Cannot accept the call: no service has this secret");
      caller.service = service.name;
    }
    if (authorization === "") return caller;
    const [, scheme, value] = /^(Bearer|Appliance) (\S{1,4000})$/i.exec(authorization) ?? [];
    if (scheme === undefined || value === undefined) {
      throw new OperatingError(
        "unauthenticated",
        'Cannot accept the call: Expected the authorization "Bearer TOKEN" or "Appliance ID:KEY"',
      );
    }
    if (scheme.toLowerCase() === "bearer") {
      const claims = await this.#options.verifyAccess(value);
      if (await this.#options.isSessionEnded(claims.sessionId)) {
        throw new OperatingError("session-ended", "Cannot accept the access token: its session has ended");
      }
      caller.account = claims;
    } else {
      const applianceId = value.slice(0, value.indexOf(":"));
      const key = value.slice(value.indexOf(":") + 1);
      const { applianceSecret } = this.#options;
      if (applianceSecret === undefined || !isSame(applianceKey(applianceSecret, applianceId), key)) {
        throw new OperatingError("unauthenticated", "Cannot accept the call: this is not the appliance's key");
      }
      caller.applianceId = applianceId;
    }
    return caller;
  }
}

/** The key of one appliance. It is derived, so that nothing is stored and a new box needs no row; another secret is another key for all. */
export function applianceKey(applianceSecret: string, applianceId: string): string {
  return createHmac("sha256", applianceSecret).update(`millrace appliance ${applianceId}`).digest("base64url");
}

/** In the same time whatever is compared. */
function isSame(a: string, b: string): boolean {
  const digest = (text: string) => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(a), digest(b));
}
