// New settings for an appliance that runs: at SIGHUP, and when a certificate on disk is another one.
import { unwatchFile, watchFile } from "node:fs";
import { isDeepStrictEqual } from "node:util";
import type { Log } from "../runtime/log.js";
import { messageOf } from "../runtime/operating-error.js";
import { readCertificates } from "./certificates.js";
import type { ApplianceSettings } from "./settings.js";

/** Certificate files are looked at this often. A renewal comes weeks before the old one ends. */
const certificateLookEveryMs = 2000;
/** Certificate and key are two files: what changes them has this long to write both. */
const settleMs = 500;

/** What can change while an appliance runs; the rest is read at its next start. */
const changeable = ["tokens", "clients"] as const;

export interface SettingsReloadOptions {
  settings: ApplianceSettings;
  /** Reads the settings file anew; throws what is wrong with it. */
  read: () => ApplianceSettings;
  onReload: (settings: ApplianceSettings) => void;
  log: Log;
}

/** Watches until `close` is called. */
export class SettingsReload {
  readonly #options: SettingsReloadOptions;
  readonly #onHangUp = () => this.#reload("SIGHUP");
  #settings: ApplianceSettings;
  #watched: string[] = [];
  #timer: NodeJS.Timeout | undefined;

  constructor(options: SettingsReloadOptions) {
    this.#options = options;
    this.#settings = options.settings;
    process.on("SIGHUP", this.#onHangUp);
    this.#watchCertificates();
  }

  close(): void {
    process.off("SIGHUP", this.#onHangUp);
    clearTimeout(this.#timer);
    for (const file of this.#watched) unwatchFile(file);
    this.#watched = [];
  }

  #watchCertificates(): void {
    for (const file of this.#watched) unwatchFile(file);
    const { tls } = this.#settings.listen;
    this.#watched = tls ? [tls, ...tls.others].flatMap(({ cert, key }) => [cert, key]) : [];
    for (const file of this.#watched) {
      watchFile(file, { interval: certificateLookEveryMs, persistent: false }, () => {
        clearTimeout(this.#timer);
        this.#timer = setTimeout(() => this.#use(this.#settings, "certificate"), settleMs).unref();
      });
    }
  }

  #reload(why: string): void {
    const { log, read } = this.#options;
    let fresh: ApplianceSettings;
    try {
      fresh = read();
    } catch (error) {
      log.error({ error: messageOf(error) }, "the settings file cannot be used; the settings stay as they were");
      return;
    }
    const next: ApplianceSettings = {
      ...this.#settings,
      ...Object.fromEntries(changeable.map((name) => [name, fresh[name]])),
      listen: { ...this.#settings.listen, ...(this.#settings.listen.tls && fresh.listen.tls ? { tls: fresh.listen.tls } : {}) },
    };
    const kept = (Object.keys(fresh) as (keyof ApplianceSettings)[]).filter((name) => !isDeepStrictEqual(fresh[name], next[name]));
    if (kept.length > 0) log.warn({ settings: kept }, "these settings are used from the next start on");
    this.#use(next, why);
  }

  #use(settings: ApplianceSettings, why: string): void {
    const { log, onReload } = this.#options;
    try {
      if (settings.listen.tls) readCertificates(settings.listen.tls);
    } catch (error) {
      log.error({ error: messageOf(error) }, "a certificate cannot be used; the settings stay as they were");
      return;
    }
    this.#settings = settings;
    this.#watchCertificates();
    onReload(settings);
    log.info({ why }, "settings are reloaded");
  }
}
