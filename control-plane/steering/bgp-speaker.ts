// Routes from a BGP speaker: follows the table of a gobgpd over its gRPC API, and takes announcements and withdrawals over as they come.
//
//   1. WatchEvent is opened first, and ListPath is asked when the watch has spoken: it begins with the state of the speaker's peers, so from then
//      on nothing is missed.
//   2. A prefix that the watch has spoken of is not taken from the list any more: the list may be older.
//   3. When the list has ended, what is left of the connection before is withdrawn.
//   4. When the connection breaks, routes stay for `staleAfterMs`: a speaker that is restarted must not move every player.
import { credentials, type ClientReadableStream } from "@grpc/grpc-js";
import type { Clock } from "../../runtime/clock.js";
import type { Log } from "../../runtime/log.js";
import { messageOf } from "../../runtime/operating-error.js";
import {
  AsPathAttribute,
  GobgpApiClient,
  IPAddressPrefix,
  MultiExitDiscAttribute,
  TableType,
  WatchEventRequest_Table_Filter_Type as FilterType,
  type ListPathResponse,
  type Path,
  type WatchEventResponse,
} from "../protocol/generated/apipb/gobgp.js";
import type { BgpSpeakerSettings } from "./steering-settings.js";
import { formatPrefix, parsePrefix, type Prefix } from "./client-address.js";
import type { RouteTable } from "./route-table.js";
import type { RouteAttributes } from "./site-order.js";

const reconnectMs = 500;
/** A speaker that says nothing of its peers is asked for its routes all the same. */
const watchSilentMs = 2000;
/** RFC 4760 and RFC 4271: unicast of both families. */
const unicastFamilies = [
  { afi: 1, safi: 1 },
  { afi: 2, safi: 1 },
] as const;
/** An AS_SET counts as one, RFC 4271 9.1.2.2; confederation segments do not count, RFC 5065 5.3. */
const asSet = 1;
const asSequence = 2;

export interface BgpRoute extends RouteAttributes {
  prefix: Prefix;
  neighbor: string;
  /** Told apart from others of the same neighbour by add-path, RFC 7911. */
  identifier: number;
  withdrawn: boolean;
}

/** Undefined for what is no unicast route that can be read. */
export function parsePath(path: Path): BgpRoute | undefined {
  if (!path.nlri?.typeUrl.endsWith("/apipb.IPAddressPrefix")) return undefined;
  try {
    const { prefix: address, prefixLen } = IPAddressPrefix.decode(path.nlri.value);
    const prefix = parsePrefix(`${address}/${prefixLen}`);
    if (!prefix) return undefined;
    const valueOf = (name: string) => path.pattrs.find(({ typeUrl }) => typeUrl.endsWith(`/apipb.${name}`))?.value;
    const asPath = valueOf("AsPathAttribute");
    const med = valueOf("MultiExitDiscAttribute");
    return {
      prefix,
      neighbor: path.neighborIp,
      identifier: path.identifier,
      withdrawn: path.isWithdraw || path.filtered,
      asPathLength: asPath ? asPathLengthOf(AsPathAttribute.decode(asPath)) : 0,
      med: med ? MultiExitDiscAttribute.decode(med).med : 0,
    };
  } catch {
    return undefined; // Bytes that are no message of that type.
  }
}

function asPathLengthOf({ segments }: AsPathAttribute): number {
  return segments.reduce((sum, { type, numbers }) => sum + (type === asSequence ? numbers.length : type === asSet ? 1 : 0), 0);
}

export class BgpSpeaker {
  readonly #settings: BgpSpeakerSettings;
  readonly #table: RouteTable;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #client: GobgpApiClient;
  readonly #siteOfNeighbor: ReadonlyMap<string, string>;
  #watch: ClientReadableStream<WatchEventResponse> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;
  /** Counts connections: routes of an earlier one are stale. */
  #connection = 0;
  #lostAtMs: number | undefined;
  #connected = false;
  #tooMany = false;
  /** Source and prefix → in which connection it was heard. */
  readonly #heard = new Map<string, { prefix: Prefix; source: string; connection: number }>();

  constructor(settings: BgpSpeakerSettings, { table, clock, log }: { table: RouteTable; clock: Clock; log: Log }) {
    this.#settings = settings;
    this.#table = table;
    this.#clock = clock;
    this.#log = log;
    this.#client = new GobgpApiClient(settings.url.replace(/^grpc:\/\//, "").replace(/\/$/, ""), credentials.createInsecure(), {
      "grpc.initial_reconnect_backoff_ms": 200,
      "grpc.max_reconnect_backoff_ms": 2000,
      // A dead speaker is found within the sum of both.
      "grpc.keepalive_time_ms": 10_000,
      "grpc.keepalive_timeout_ms": 5000,
      // A full table comes as one initial event of some hundred MB.
      "grpc.max_receive_message_length": 512 * 2 ** 20,
    });
    this.#siteOfNeighbor = new Map(settings.neighbors.map(({ address, site }) => [address, site]));
  }

  get status() {
    return { url: this.#settings.url, connected: this.#connected, routes: this.#heard.size };
  }

  start(): void {
    if (this.#closed) return;
    const connection = ++this.#connection;
    // What all neighbours announce, where sites go by neighbour; what the speaker has chosen, where all is one site's.
    const type = this.#settings.site === undefined ? FilterType.POST_POLICY : FilterType.BEST;
    const watch = this.#client.watchEvent({ peer: {}, table: { filters: [{ type, init: false }] } });
    this.#watch = watch;
    const spokenOf = new Set<string>();
    let listing = false;
    const list = () => {
      if (listing || connection !== this.#connection) return;
      listing = true;
      Promise.all(unicastFamilies.map((family) => this.#list({ family, connection, spokenOf }))).then(
        () => this.#settle(connection),
        (error: unknown) => this.#lose(connection, error),
      );
    };
    this.#timer = setTimeout(list, watchSilentMs);
    watch.on("data", ({ table }: WatchEventResponse) => {
      for (const path of table?.paths ?? []) this.#take(path, connection, (key) => spokenOf.add(key));
      list();
    });
    watch.on("error", (error) => this.#lose(connection, error));
    watch.on("end", () => this.#lose(connection, new Error("the speaker ended the watch")));
  }

  /** Withdraws the routes of a speaker that has been away for too long. To be called every second or so. */
  expire(): void {
    if (this.#lostAtMs === undefined || this.#clock.monotonicMs() - this.#lostAtMs < this.#settings.staleAfter) return;
    if (this.#heard.size === 0) return;
    this.#log.error({ speaker: this.#settings.url, routes: this.#heard.size }, "BGP speaker stays away: its routes are withdrawn");
    this.#forget(() => true);
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#watch?.cancel();
    this.#client.close();
  }

  /** The whole table has been heard: what is left of an earlier connection is gone. */
  #settle(connection: number): void {
    if (connection !== this.#connection) return;
    clearTimeout(this.#timer);
    this.#forget((heard) => heard.connection !== connection);
    this.#lostAtMs = undefined;
    this.#connected = true;
    this.#log.info({ speaker: this.#settings.url, routes: this.#heard.size }, "BGP speaker answers");
  }

  #lose(connection: number, error: unknown): void {
    if (connection !== this.#connection || this.#closed) return;
    if (this.#connected || this.#lostAtMs === undefined) {
      const staleAfterMs = this.#settings.staleAfter;
      this.#log.warn(
        { speaker: this.#settings.url, error: messageOf(error), staleAfterMs },
        "BGP speaker is away; its routes stay for a while",
      );
      this.#lostAtMs = this.#clock.monotonicMs();
    }
    this.#connected = false;
    // From here on nothing of this connection counts.
    this.#connection++;
    this.#watch?.cancel();
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.start(), reconnectMs);
  }

  #list(options: { family: (typeof unicastFamilies)[number]; connection: number; spokenOf: ReadonlySet<string> }): Promise<void> {
    return new Promise((resolve, reject) => {
      const list = this.#client.listPath({ tableType: TableType.GLOBAL, name: "", family: { ...options.family } });
      list.on("data", ({ destination }: ListPathResponse) => {
        for (const path of destination?.paths ?? []) this.#take(path, options.connection, (key) => !options.spokenOf.has(key));
      });
      list.on("error", reject);
      list.on("end", resolve);
    });
  }

  /** Takes one path over if `isNews` of its key. */
  #take(path: Path, connection: number, isNews: (key: string) => unknown): void {
    if (connection !== this.#connection) return;
    const route = parsePath(path);
    if (!route) return;
    const siteId = this.#settings.site ?? this.#siteOfNeighbor.get(route.neighbor);
    if (siteId === undefined) return;
    const { prefix, asPathLength, med } = route;
    // Of the chosen paths there is one per prefix, whoever it comes from.
    const from = this.#settings.site === undefined ? `${route.neighbor}/${route.identifier}` : "";
    const source = `bgp:${this.#settings.url}:${from}`;
    const key = `${formatPrefix(prefix)} ${from}`;
    if (!isNews(key)) return;
    if (route.withdrawn) {
      this.#heard.delete(key);
      this.#table.withdraw(prefix, source);
      return;
    }
    if (!this.#heard.has(key) && this.#heard.size >= this.#settings.prefixesMax) {
      if (!this.#tooMany)
        this.#log.error(
          { speaker: this.#settings.url, max: this.#settings.prefixesMax },
          "BGP speaker announces too many prefixes; no more are taken",
        );
      this.#tooMany = true;
      return;
    }
    this.#heard.set(key, { prefix, source, connection });
    this.#table.announce(prefix, { siteId, source, asPathLength, med });
  }

  #forget(isGone: (heard: { connection: number }) => boolean): void {
    for (const [key, heard] of this.#heard) {
      if (!isGone(heard)) continue;
      this.#heard.delete(key);
      this.#table.withdraw(heard.prefix, heard.source);
    }
  }
}
