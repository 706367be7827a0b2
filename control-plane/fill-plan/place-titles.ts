// Which titles each appliance of a cluster should hold: copies by popularity, places by rendezvous, and as few moves as that allows.
import { orderByRendezvous } from "../steering/rendezvous.js";

/** A title that a member holds counts for so much more: another must be clearly better to take its place. */
const heldBonus = 0.25;
/** A title may make up so much of one member's fair share of the cluster's load; a hotter one gets another copy. */
const loadPerCopyMax = 0.25;
/** The number of copies changes only when the load has left it by so much. */
const copiesSlack = 0.25;
/** Strata of a manifest, 0 the most wanted; each is worth half of the one before. */
export const stratumMax = 31;

export interface ClusterMember {
  id: string;
  /** What the manifest may use. */
  budgetBytes: number;
  chunkBytes: number;
  /** Share of the head's load it should take, against the other members; above 0. */
  throughputWeight: number;
}

export interface TitleDemand {
  titleId: string;
  playsPerDay: number;
  /** Of each object: what it takes depends on the member's chunks. */
  objectBytes: readonly number[];
  /** Copies that are kept whatever the forecast says. */
  pinnedCopies: number;
}

export interface PlacedTitle {
  titleId: string;
  stratum: number;
  copies: number;
  /** Who should hold it, best first. Fewer than `copies` when there is no room. */
  memberIds: string[];
}

export interface PlacementOptions {
  /** The placement in force. */
  previous: ReadonlyMap<string, PlacedTitle>;
  /**
   * Bytes of each member that may be replaced now. A title comes while any of them is left, so that a title larger than all of
   * them can come at all: what it takes too much is the caller's to subtract. Space that is free may always be filled; pinned titles
   * always come.
   */
  replaceBytes: (member: ClusterMember) => number;
}

export interface Placement {
  /** Most wanted first. */
  titles: PlacedTitle[];
  /** Bytes of each member that took the place of others: what is to be taken off its allowance. */
  replacedBytes: Map<string, number>;
}

/**
 * Places `titles` on `members`.
 *
 *   1. Order: by plays per day, which for whole titles is bytes served per byte stored; a held title counts for more.
 *   2. Copies: a title gets so many that none carries more than a quarter of a member's fair load.
 *   3. Places: titles of several copies (the head) by rendezvous weighted by throughput, the others (the tail) by bytes. Who holds a
 *      title keeps it, but for what a member that is new in the cluster wins. A member without room passes the title on.
 *   4. Churn: on each member at most `replaceBytes` change hands, the best titles first; the rest waits for the next plan.
 *
 * Rendezvous makes it stable: a member that joins takes only what it wins, a member that leaves frees only what it had.
 */
export function placeTitles(titles: readonly TitleDemand[], members: readonly ClusterMember[], options: PlacementOptions): Placement {
  const { previous } = options;
  if (members.length === 0) return { titles: [], replacedBytes: new Map() };
  const memberIds = new Set(members.map(({ id }) => id));
  const known = new Set([...previous.values()].flatMap((placed) => placed.memberIds));
  const ranked = titles
    .map((title) => {
      const held = previous.get(title.titleId);
      const isHeld = held?.memberIds.some((id) => memberIds.has(id)) ?? false;
      return { title, held, score: title.playsPerDay * (isHeld ? 1 + heldBonus : 1), pinned: title.pinnedCopies > 0 };
    })
    .filter(({ score, pinned }) => score > 0 || pinned)
    .sort((a, b) => Number(b.pinned) - Number(a.pinned) || b.score - a.score || (a.title.titleId < b.title.titleId ? -1 : 1));
  // What a title loads the cluster with: the bytes that are served of it.
  const bytesOf = new Map(ranked.map(({ title }) => [title.titleId, title.objectBytes.reduce((sum, bytes) => sum + bytes, 0)]));
  const load = (title: TitleDemand) => title.playsPerDay * bytesOf.get(title.titleId)!;
  const fairLoad = ranked.reduce((sum, { title }) => sum + load(title), 0) / members.length;
  const topPlays = Math.max(...ranked.map(({ title }) => title.playsPerDay), 0);

  const ideal: PlacedTitle[] = [];
  const free = new Map(members.map(({ id, budgetBytes }) => [id, budgetBytes]));
  const byThroughput = members.map((member) => ({ id: member.id, weight: member.throughputWeight, member }));
  const byBytes = members.map((member) => ({ id: member.id, weight: Math.max(1, member.budgetBytes), member }));
  const spaces = new SpaceTable(ranked.map(({ title }) => title));
  const smallest = new Map(members.map(({ chunkBytes }) => [chunkBytes, spaces.smallestOf(chunkBytes)]));
  for (const { title, held } of ranked) {
    const copies = copiesFor(fairLoad === 0 ? 0 : load(title) / fairLoad / loadPerCopyMax, title, held, members.length);
    // Nobody has room for anything: the rest of the catalog need not be looked at.
    if (members.every(({ id, chunkBytes }) => free.get(id)! < smallest.get(chunkBytes)!)) break;
    const order = orderByRendezvous(copies > 1 ? byThroughput : byBytes, title.titleId).map(({ member }) => member);
    const joined = order.slice(0, copies).filter(({ id }) => !known.has(id));
    const holders = held ? order.filter(({ id }) => held.memberIds.includes(id)) : [];
    const taken: string[] = [];
    for (const member of new Set([...joined, ...holders, ...order])) {
      if (taken.length === copies) break;
      const spaceBytes = spaces.spaceOf(title, member.chunkBytes);
      if (spaceBytes > free.get(member.id)!) continue;
      free.set(member.id, free.get(member.id)! - spaceBytes);
      taken.push(member.id);
    }
    if (taken.length > 0)
      ideal.push({ titleId: title.titleId, stratum: stratumOf(title.playsPerDay, topPlays, held), copies, memberIds: taken });
  }
  return limitChurn(
    ideal,
    ranked.map(({ title }) => title),
    members,
    spaces,
    options,
  );
}

/** @param exact copies that the load asks for, as a fraction. */
function copiesFor(exact: number, title: TitleDemand, held: PlacedTitle | undefined, members: number): number {
  let copies = Math.max(1, Math.ceil(exact));
  if (held && exact > held.copies - 1 - copiesSlack && exact <= held.copies + copiesSlack) copies = held.copies;
  return Math.min(members, Math.max(copies, title.pinnedCopies));
}

/** Halvings below the most played title; a title stays in its stratum until it is half a stratum outside. */
function stratumOf(playsPerDay: number, topPlays: number, held: PlacedTitle | undefined): number {
  const exact = playsPerDay > 0 ? Math.log2(topPlays / playsPerDay) : stratumMax;
  if (held && exact > held.stratum - 0.5 && exact < held.stratum + 1.5) return held.stratum;
  return Math.min(stratumMax, Math.max(0, Math.floor(exact)));
}

/** Steps from the placement in force towards `ideal`, as far as each member's allowance goes. */
function limitChurn(
  ideal: readonly PlacedTitle[],
  ranked: readonly TitleDemand[],
  members: readonly ClusterMember[],
  spaces: SpaceTable,
  { previous, replaceBytes }: PlacementOptions,
): Placement {
  const replacedBytes = new Map<string, number>();
  const idealOf = new Map(ideal.map((placed) => [placed.titleId, placed]));
  const final = new Map<string, Set<string>>(ideal.map(({ titleId }) => [titleId, new Set()]));
  for (const member of members) {
    const wasHere = (titleId: string) => previous.get(titleId)?.memberIds.includes(member.id) ?? false;
    const isIdeal = (titleId: string) => idealOf.get(titleId)?.memberIds.includes(member.id) ?? false;
    let freeBytes = member.budgetBytes;
    const incoming: TitleDemand[] = [];
    const leaving: TitleDemand[] = [];
    const hold = (title: TitleDemand) => {
      const holders = final.get(title.titleId) ?? new Set();
      final.set(title.titleId, holders.add(member.id));
      freeBytes -= spaces.spaceOf(title, member.chunkBytes);
    };
    for (const title of ranked) {
      if (isIdeal(title.titleId) && wasHere(title.titleId)) hold(title);
      else if (isIdeal(title.titleId)) incoming.push(title);
      else if (wasHere(title.titleId)) leaving.push(title);
    }
    // What may leave stays where it is, best first, as far as there is room: so `freeBytes` is what is really free.
    const staying: TitleDemand[] = [];
    for (const title of leaving) {
      if (spaces.spaceOf(title, member.chunkBytes) > freeBytes) continue;
      hold(title);
      staying.push(title);
    }
    let allowanceBytes = replaceBytes(member);
    let replaced = 0;
    for (const title of incoming) {
      const spaceBytes = spaces.spaceOf(title, member.chunkBytes);
      const lacking = Math.max(0, spaceBytes - freeBytes);
      if (lacking > 0 && title.pinnedCopies === 0 && allowanceBytes <= 0) continue;
      while (freeBytes < spaceBytes && staying.length > 0) {
        const gone = staying.pop()!;
        final.get(gone.titleId)!.delete(member.id);
        freeBytes += spaces.spaceOf(gone, member.chunkBytes);
      }
      if (freeBytes < spaceBytes) continue;
      allowanceBytes -= lacking;
      replaced += lacking;
      hold(title);
    }
    // A copy that has another place now is not kept beside it for long: it goes when its space is needed.
    replacedBytes.set(member.id, replaced);
  }
  const placed: PlacedTitle[] = [];
  for (const { titleId, playsPerDay } of ranked) {
    const holders = final.get(titleId);
    if (!holders || holders.size === 0) continue;
    const wanted = idealOf.get(titleId);
    const order = wanted
      ? [...wanted.memberIds.filter((id) => holders.has(id)), ...[...holders].filter((id) => !wanted.memberIds.includes(id))]
      : [...holders];
    placed.push({
      titleId,
      stratum: wanted?.stratum ?? previous.get(titleId)?.stratum ?? stratumOf(playsPerDay, playsPerDay, undefined),
      copies: wanted?.copies ?? holders.size,
      memberIds: order,
    });
  }
  return { titles: placed, replacedBytes };
}

/** What titles take in slots of each chunk size in the cluster, counted once. */
class SpaceTable {
  readonly #titles: readonly TitleDemand[];
  readonly #spaces = new Map<number, Map<TitleDemand, number>>();

  constructor(titles: readonly TitleDemand[]) {
    this.#titles = titles;
  }

  spaceOf(title: TitleDemand, chunkBytes: number): number {
    let ofSize = this.#spaces.get(chunkBytes);
    if (!ofSize) this.#spaces.set(chunkBytes, (ofSize = new Map()));
    let spaceBytes = ofSize.get(title);
    if (spaceBytes === undefined) {
      spaceBytes = title.objectBytes.reduce((sum, bytes) => sum + Math.ceil(bytes / chunkBytes) * chunkBytes, 0);
      ofSize.set(title, spaceBytes);
    }
    return spaceBytes;
  }

  smallestOf(chunkBytes: number): number {
    let smallest = Infinity;
    for (const title of this.#titles) smallest = Math.min(smallest, this.spaceOf(title, chunkBytes));
    return smallest;
  }
}
