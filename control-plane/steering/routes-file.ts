// Routes from a file of prefixes, taken over again when the file changes.
//
//   # prefix          site    AS path  MED
//   203.0.113.0/24    isp-1
//   2001:db8::/32     isp-1   2        10
import { readFileSync, statSync } from "node:fs";
import type { Log } from "../../runtime/log.js";
import { messageOf, OperatingError } from "../../runtime/operating-error.js";
import { formatPrefix, parsePrefix, type Prefix } from "./client-address.js";
import type { Route, RouteTable } from "./route-table.js";

/** Mistakes in one message. */
const mistakesMax = 5;
/** A full table of the Internet is 40 MB. */
const fileBytesMax = 256 * 2 ** 20;

interface FileRoute {
  prefix: Prefix;
  route: Omit<Route, "source">;
}

/** @throws OperatingError "routes-file-invalid", with the lines. */
export function parseRoutes(text: string, name: string): FileRoute[] {
  const routes: FileRoute[] = [];
  const mistakes: string[] = [];
  text.split("\n").forEach((line, index) => {
    const fields = line.replace(/#.*/, "").trim().split(/\s+/);
    if (fields[0] === "") return;
    const [prefixText = "", siteId = "", asPath = "0", med = "0", ...more] = fields;
    const prefix = parsePrefix(prefixText);
    const isRight = prefix && /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(siteId) && /^\d{1,3}$/.test(asPath) && /^\d{1,10}$/.test(med);
    if (!isRight || more.length > 0)
      mistakes.push(`${name}:${index + 1}: Expected PREFIX SITE [AS-PATH-LENGTH [MED]]: received ${line.slice(0, 100)}`);
    else routes.push({ prefix, route: { siteId, asPathLength: Number(asPath), med: Number(med) } });
  });
  if (mistakes.length === 0) return routes;
  const shown = mistakes.slice(0, mistakesMax).join("\n  ");
  const left = mistakes.length > mistakesMax ? `\n  and ${mistakes.length - mistakesMax} more` : "";
  throw new OperatingError("routes-file-invalid", `Cannot use routes file ${name}:\n  ${shown}${left}`, { source: name });
}

export class RoutesFile {
  readonly #path: string;
  readonly #table: RouteTable;
  readonly #log: Log;
  /** Prefix → what the file said of it last, for those it names. */
  #known = new Map<string, string>();
  #stamp = "";
  #failing = false;

  constructor(path: string, { table, log }: { table: RouteTable; log: Log }) {
    this.#path = path;
    this.#table = table;
    this.#log = log;
  }

  get size(): number {
    return this.#known.size;
  }

  /**
   * Takes over what has changed since the last call; does nothing while the file's time and size stay the same.
   *
   * @throws OperatingError when the file cannot be read or has a mistake; then what it said before holds.
   */
  read(): void {
    const stamp = this.#stampNow();
    if (stamp === this.#stamp) return;
    let text: string;
    try {
      const { size } = statSync(this.#path);
      if (size > fileBytesMax) throw new Error(`it has ${size} bytes, ${fileBytesMax} at most`);
      text = readFileSync(this.#path, "utf8");
    } catch (error) {
      throw new OperatingError("routes-file-unreadable", `Cannot read routes file ${this.#path}: ${messageOf(error)}`, {
        source: this.#path,
        cause: error,
      });
    }
    const routes = parseRoutes(text, this.#path);
    const now = new Map<string, string>();
    for (const { prefix, route } of routes) {
      // A prefix may be of several sites.
      const key = `${formatPrefix(prefix)} ${route.siteId}`;
      const value = `${route.asPathLength} ${route.med}`;
      now.set(key, value);
      if (this.#known.get(key) !== value) this.#table.announce(prefix, { ...route, source: this.#sourceOf(route.siteId) });
    }
    for (const key of this.#known.keys()) {
      if (now.has(key)) continue;
      const [prefix, siteId] = key.split(" ") as [string, string];
      this.#table.withdraw(parsePrefix(prefix)!, this.#sourceOf(siteId));
    }
    this.#known = now;
    this.#stamp = stamp;
    this.#log.info({ file: this.#path, routes: now.size }, "took over routes");
  }

  /** `read` for a timer: a mistake is logged once, and what was known stays. */
  follow(): void {
    try {
      this.read();
      this.#failing = false;
    } catch (error) {
      if (!(error instanceof OperatingError)) throw error;
      if (!this.#failing)
        this.#log.error({ file: this.#path, error: error.message }, "routes file cannot be used; what it said before holds");
      this.#failing = true;
    }
  }

  #sourceOf(siteId: string): string {
    return `file:${this.#path}:${siteId}`;
  }

  /** "" when it is not there. */
  #stampNow(): string {
    const found = statSync(this.#path, { throwIfNoEntry: false });
    return found ? `${found.mtimeMs} ${found.size} ${found.ino}` : "gone";
  }
}
