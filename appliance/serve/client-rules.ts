// Which clients are served at all, by their address.
import { isInPrefix, parseClientPrefix, type ClientPrefix } from "./client-prefix.js";

/** Addresses and prefixes. */
export interface ClientRuleTexts {
  allow: readonly string[];
  deny: readonly string[];
  unlimited: readonly string[];
}

export class ClientRules {
  #allow: ClientPrefix[] = [];
  #deny: ClientPrefix[] = [];
  #unlimited: ClientPrefix[] = [];

  constructor(rules: ClientRuleTexts) {
    this.setRules(rules);
  }

  /** The prefixes are valid: the settings have been checked. */
  setRules({ allow, deny, unlimited }: ClientRuleTexts): void {
    this.#allow = allow.flatMap((text) => parseClientPrefix(text) ?? []);
    this.#deny = deny.flatMap((text) => parseClientPrefix(text) ?? []);
    this.#unlimited = unlimited.flatMap((text) => parseClientPrefix(text) ?? []);
  }

  /** Without rules nobody's address need be looked up. */
  get active(): boolean {
    return this.#allow.length > 0 || this.#deny.length > 0;
  }

  /** A client in `deny` is refused, and so is one that is not in `allow`, where that has any. */
  refuses(client: Uint8Array): boolean {
    if (this.#deny.some((prefix) => isInPrefix(client, prefix))) return true;
    return this.#allow.length > 0 && !this.#allow.some((prefix) => isInPrefix(client, prefix));
  }

  /** Whether the limits per client are not for this one: many may stand behind one address. */
  isUnlimited(client: Uint8Array): boolean {
    return this.#unlimited.some((prefix) => isInPrefix(client, prefix));
  }
}
