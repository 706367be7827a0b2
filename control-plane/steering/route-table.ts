// Who announces which prefix, and from that the order of the sites for an address. Prefixes stand in a trie; equal sets of announcements are one
// set, so a million prefixes of a few sites need a few sets; and an order is made once per set of covering routes.
import { formatPrefix, type AddressWords, type Prefix } from "./client-address.js";
import { matchesMax, PrefixTrie } from "./prefix-trie.js";
import { orderSites, type CoveringRoute, type Location, type OrderedSite, type RouteAttributes, type SitePlace } from "./site-order.js";

/** Orders that are kept; then all are made again as they are asked for. */
const ordersMax = 50_000;
/** Announcements of one prefix: more than there are sites that can sensibly announce the same. */
export const routesPerPrefixMax = 256;

export interface Route extends RouteAttributes {
  siteId: string;
  /** Whose word it is, such as "settings" or a BGP speaker with a neighbour: one source announces a prefix once. */
  source: string;
}

/** The sites in order for all clients that the same routes cover. */
export interface SiteOrder {
  sites: readonly OrderedSite[];
  /** The longest announced prefix that covers the client. */
  matchedPrefix: string | undefined;
}

interface RouteSet {
  /** Never given twice, unlike its number. */
  id: number;
  key: string;
  routes: readonly Route[];
  /** Prefixes that have it. */
  uses: number;
}

interface Family {
  trie: PrefixTrie;
  /** By node of the trie: where in `#made` its order stands, if `madeAt` is the generation. */
  orderAt: Uint32Array;
  madeAt: Uint32Array;
}

export class RouteTable {
  readonly #families: Record<4 | 6, Family> = { 4: newFamily(4), 6: newFamily(6) };
  readonly #sets: (RouteSet | undefined)[] = [];
  readonly #setByKey = new Map<string, number>();
  readonly #freeSets: number[] = [];
  readonly #sites = new Map<string, SitePlace>();
  readonly #nodes = new Int32Array(matchesMax);
  /** Grows with every change that may change an order. */
  #generation = 1;
  #made: SiteOrder[] = [];
  #madeGeneration = 0;
  #lastSetId = 0;
  /** Orders by covering route sets (and place of the client), so that a change elsewhere costs no sorting here. */
  #ordersByRoutes = new Map<string, readonly OrderedSite[]>();

  get size(): number {
    return this.#families[4].trie.size + this.#families[6].trie.size;
  }

  /** Of the tables of prefixes. */
  get bytes(): number {
    return this.#families[4].trie.bytes + this.#families[6].trie.bytes;
  }

  /** Adds a site, or changes its place. A site that announces nothing is ordered too. */
  setSite(site: SitePlace): void {
    const known = this.#sites.get(site.siteId);
    if (known && known.rank === site.rank && known.location === site.location) return;
    this.#sites.set(site.siteId, site);
    this.#generation++;
    this.#ordersByRoutes.clear();
  }

  hasSite(siteId: string): boolean {
    return this.#sites.has(siteId);
  }

  /** A second announcement by the same source takes the place of the first. False when the prefix has too many already. */
  announce(prefix: Prefix, route: Route): boolean {
    const before = this.#routesAt(prefix);
    const others = before.filter(({ source }) => source !== route.source);
    if (others.length >= routesPerPrefixMax) return false;
    this.#put(prefix, [...others, route]);
    return true;
  }

  /** False when the source did not announce it. */
  withdraw(prefix: Prefix, source: string): boolean {
    const before = this.#routesAt(prefix);
    const others = before.filter((route) => route.source !== source);
    if (others.length === before.length) return false;
    this.#put(prefix, others);
    return true;
  }

  /** Withdraws all that sources of that kind announce, and tells of how many prefixes. Walks the table: 1 M prefixes take some 0.1 s. */
  withdrawAll(isGone: (source: string) => boolean): number {
    const gone: Prefix[] = [];
    for (const family of [4, 6] as const) {
      const { trie } = this.#families[family];
      for (const node of trie.nodes()) {
        const { routes } = this.#sets[trie.valueOf(node)]!;
        if (routes.some(({ source }) => isGone(source))) gone.push({ family, words: trie.keyOf(node), lengthBits: trie.lengthOf(node) });
      }
    }
    for (const prefix of gone) {
      this.#put(
        prefix,
        this.#routesAt(prefix).filter(({ source }) => !isGone(source)),
      );
    }
    return gone.length;
  }

  /** Every announcement; the table must not change meanwhile. */
  *routes(): Generator<{ prefix: string; route: Route }> {
    for (const family of [4, 6] as const) {
      const { trie } = this.#families[family];
      for (const node of trie.nodes()) {
        const prefix = this.#prefixOf(family, node);
        for (const route of this.#sets[trie.valueOf(node)]!.routes) yield { prefix, route };
      }
    }
  }

  /** How many prefixes each site announces. */
  countBySite(): Map<string, number> {
    const counts = new Map<string, number>();
    for (const set of this.#sets) {
      if (!set) continue;
      for (const siteId of new Set(set.routes.map(({ siteId }) => siteId))) counts.set(siteId, (counts.get(siteId) ?? 0) + set.uses);
    }
    return counts;
  }

  /** The sites in order for `address`. The same object for the same routes, until they change. */
  orderFor(address: AddressWords, client?: Location): SiteOrder {
    const family = this.#families[address.family];
    const count = family.trie.match(address.words, this.#nodes);
    // Node 0 is the root, which is also the place for "nothing covers it".
    const longest = count === 0 ? 0 : this.#nodes[count - 1]!;
    if (client) return this.#makeOrder(address.family, count, client);
    if (family.madeAt[longest] === this.#generation) return this.#made[family.orderAt[longest]!]!;
    const order = this.#makeOrder(address.family, count, undefined);
    if (this.#madeGeneration !== this.#generation) {
      this.#made = [];
      this.#madeGeneration = this.#generation;
    }
    if (longest >= family.madeAt.length) growTables(family);
    family.madeAt[longest] = this.#generation;
    family.orderAt[longest] = this.#made.push(order) - 1;
    return order;
  }

  #makeOrder(familyName: 4 | 6, count: number, client: Location | undefined): SiteOrder {
    const { trie } = this.#families[familyName];
    let key = client ? `${Math.round(client.latitude)},${Math.round(client.longitude)}` : "";
    for (let at = 0; at < count; at++) key += `|${trie.lengthOf(this.#nodes[at]!)}:${this.#sets[trie.valueOf(this.#nodes[at]!)]!.id}`;
    let sites = this.#ordersByRoutes.get(key);
    if (!sites) {
      const routes: CoveringRoute[] = [];
      for (let at = 0; at < count; at++) {
        const lengthBits = trie.lengthOf(this.#nodes[at]!);
        for (const route of this.#sets[trie.valueOf(this.#nodes[at]!)]!.routes) routes.push({ ...route, lengthBits });
      }
      sites = orderSites(this.#sites.values(), routes, client);
      if (this.#ordersByRoutes.size >= ordersMax) this.#ordersByRoutes.clear();
      this.#ordersByRoutes.set(key, sites);
    }
    return { sites, matchedPrefix: count === 0 ? undefined : this.#prefixOf(familyName, this.#nodes[count - 1]!) };
  }

  #prefixOf(family: 4 | 6, node: number): string {
    const { trie } = this.#families[family];
    return formatPrefix({ family, words: trie.keyOf(node), lengthBits: trie.lengthOf(node) });
  }

  #routesAt({ family, words, lengthBits }: Prefix): readonly Route[] {
    const { trie } = this.#families[family];
    const node = trie.find(words, lengthBits);
    return node === -1 ? [] : this.#sets[trie.valueOf(node)]!.routes;
  }

  #put(prefix: Prefix, routes: readonly Route[]): void {
    const { trie } = this.#families[prefix.family];
    const node = trie.find(prefix.words, prefix.lengthBits);
    const before = node === -1 ? undefined : trie.valueOf(node);
    if (routes.length === 0) trie.delete(prefix.words, prefix.lengthBits);
    else {
      const set = this.#setOf(routes);
      if (set === before) {
        this.#release(set);
        return;
      }
      trie.set(prefix.words, prefix.lengthBits, set);
    }
    if (before !== undefined) this.#release(before);
    this.#generation++;
  }

  /** The set with just these routes; counts one use more. */
  #setOf(routes: readonly Route[]): number {
    const sorted = [...routes].sort((a, b) => (a.source < b.source ? -1 : 1));
    const key = JSON.stringify(sorted.map(({ source, siteId, asPathLength, med }) => [source, siteId, asPathLength, med]));
    let number = this.#setByKey.get(key);
    if (number === undefined) {
      number = this.#freeSets.pop() ?? this.#sets.length;
      this.#sets[number] = { id: ++this.#lastSetId, key, routes: sorted, uses: 0 };
      this.#setByKey.set(key, number);
    }
    this.#sets[number]!.uses++;
    return number;
  }

  #release(number: number): void {
    const set = this.#sets[number]!;
    if (--set.uses > 0) return;
    this.#setByKey.delete(set.key);
    this.#sets[number] = undefined;
    this.#freeSets.push(number);
  }
}

function newFamily(family: 4 | 6): Family {
  return { trie: new PrefixTrie(family), orderAt: new Uint32Array(1024), madeAt: new Uint32Array(1024) };
}

function growTables(family: Family): void {
  for (const table of ["orderAt", "madeAt"] as const) {
    const grown = new Uint32Array(family.trie.nodeCount * 2);
    grown.set(family[table]);
    family[table] = grown;
  }
}
