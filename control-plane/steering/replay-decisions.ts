// Plays logged decisions again without some sites: what moves, who gets more than its network carries, and what nobody left holds. Pure.

export interface ReplayOptions {
  without: ReadonlySet<string>;
  /** A session without an end in the log is taken to have lasted so long. */
  sessionMaxMs: number;
}

export interface ReplayedBox {
  id: string;
  siteId: string;
  networkBitsPerSecond: number;
  /** Sessions that come to it because a site is gone. */
  sessionsGained: number;
  peakBitsPerSecond: number;
  /** Its peak as it was. */
  peakBeforeBitsPerSecond: number;
  /** With more than its network carries. 0 where that is not known. */
  overloadedMs: number;
}

export interface Replay {
  sessions: number;
  /** Sessions that a site without played at first. */
  moved: number;
  movedBytes: number;
  /** Of those, sessions whose next box would have to fetch what it plays. */
  misses: number;
  missedBytes: number;
  /** Of those, sessions for which no box was left in their answer. */
  lost: number;
  lostBytes: number;
  fromUnixMs: number | undefined;
  untilUnixMs: number | undefined;
  boxes: ReplayedBox[];
  /** Lines that could not be read, such as one that a crash cut off. */
  badLines: number;
}

interface FleetLine {
  k: "fleet";
  boxes: [number: number, id: string, siteId: string, role: string, network: number][];
}

interface RankLine {
  k: "rank";
  t: number;
  s: string;
  b: number;
  r: number[];
  h: number[];
}

interface EndLine {
  k: "end";
  t: number;
  s: string;
}

interface OpenSession {
  startedAt: number;
  bitsPerSecond: number;
  before: string | undefined;
  now: string | undefined;
  fate: "stays" | "moves" | "misses" | "lost";
}

type Change = { at: number; box: string; bits: number; before: boolean };

/** Takes the lines of a log one by one, oldest first. */
export class DecisionReplay {
  readonly #options: ReplayOptions;
  readonly #boxes = new Map<string, ReplayedBox>();
  readonly #open = new Map<string, OpenSession>();
  readonly #changes: Change[] = [];
  #byNumber = new Map<number, ReplayedBox>();
  readonly #replay: Replay = {
    sessions: 0,
    moved: 0,
    movedBytes: 0,
    misses: 0,
    missedBytes: 0,
    lost: 0,
    lostBytes: 0,
    fromUnixMs: undefined,
    untilUnixMs: undefined,
    boxes: [],
    badLines: 0,
  };

  constructor(options: ReplayOptions) {
    this.#options = options;
  }

  knowsSite(siteId: string): boolean {
    return [...this.#boxes.values()].some((box) => box.siteId === siteId);
  }

  take(text: string): void {
    if (text === "") return;
    const line = parseLine(text);
    if (!line) this.#replay.badLines++;
    else if (line.k === "fleet") this.#takeFleet(line);
    else {
      this.#replay.fromUnixMs ??= line.t;
      this.#replay.untilUnixMs = line.t;
      const known = this.#open.get(line.s);
      // A session that is decided again leaves where it was.
      this.#close(line.s, line.t);
      if (line.k === "rank") this.#takeRank(line, known);
    }
  }

  /** What is still open ends at its greatest length. */
  end(): Replay {
    for (const sessionId of this.#open.keys()) this.#close(sessionId, Infinity);
    addPeaks(this.#boxes, this.#changes);
    this.#replay.boxes = [...this.#boxes.values()]
      .filter(({ siteId }) => !this.#options.without.has(siteId))
      .sort((a, b) => b.overloadedMs - a.overloadedMs || b.sessionsGained - a.sessionsGained || (a.id < b.id ? -1 : 1));
    return this.#replay;
  }

  #takeFleet({ boxes }: FleetLine): void {
    // Numbers are of one process: after a restart they mean others.
    this.#byNumber = new Map();
    for (const [number, id, siteId, , network] of boxes) {
      const box = this.#boxes.get(id) ?? newBox(id);
      Object.assign(box, { siteId, networkBitsPerSecond: network });
      this.#boxes.set(id, box);
      this.#byNumber.set(number, box);
    }
  }

  #takeRank(line: RankLine, known: OpenSession | undefined): void {
    const { without } = this.#options;
    const replay = this.#replay;
    const ranked = line.r.map((number, at) => ({ box: this.#byNumber.get(number), holds: line.h[at] === 1 }));
    const first = ranked[0]?.box;
    const left = ranked.filter(({ box }) => box && !without.has(box.siteId));
    let fate: OpenSession["fate"] = "stays";
    if (!known) replay.sessions++;
    if (first && without.has(first.siteId)) {
      fate = left.length === 0 ? "lost" : left[0]!.holds || !ranked[0]!.holds ? "moves" : "misses";
      if (!known || known.fate === "stays") {
        replay.moved++;
        if (fate === "lost") replay.lost++;
        else left[0]!.box!.sessionsGained++;
        if (fate === "misses") replay.misses++;
      }
    }
    this.#open.set(line.s, { startedAt: line.t, bitsPerSecond: line.b, before: first?.id, now: left[0]?.box?.id, fate });
  }

  #close(sessionId: string, at: number): void {
    const session = this.#open.get(sessionId);
    if (!session) return;
    this.#open.delete(sessionId);
    const { startedAt, bitsPerSecond, fate } = session;
    const endedAt = Math.min(Math.max(at, startedAt), startedAt + this.#options.sessionMaxMs);
    const bytes = ((endedAt - startedAt) * bitsPerSecond) / 8000;
    if (fate !== "stays") this.#replay.movedBytes += bytes;
    if (fate === "misses") this.#replay.missedBytes += bytes;
    if (fate === "lost") this.#replay.lostBytes += bytes;
    for (const [box, before] of [
      [session.before, true],
      [session.now, false],
    ] as const) {
      if (box === undefined) continue;
      this.#changes.push({ at: startedAt, box, bits: bitsPerSecond, before }, { at: endedAt, box, bits: -bitsPerSecond, before });
    }
  }
}

function addPeaks(boxes: ReadonlyMap<string, ReplayedBox>, changes: Change[]): void {
  const loads = new Map<string, { now: number; before: number; overSince: number | undefined }>();
  // Ends before starts of the same moment: a session that moves is nowhere twice.
  changes.sort((a, b) => a.at - b.at || a.bits - b.bits);
  for (const { at, box: id, bits, before } of changes) {
    const box = boxes.get(id)!;
    const load = loads.get(id) ?? { now: 0, before: 0, overSince: undefined };
    loads.set(id, load);
    if (before) {
      load.before += bits;
      box.peakBeforeBitsPerSecond = Math.max(box.peakBeforeBitsPerSecond, load.before);
      continue;
    }
    load.now += bits;
    box.peakBitsPerSecond = Math.max(box.peakBitsPerSecond, load.now);
    const isOver = box.networkBitsPerSecond > 0 && load.now > box.networkBitsPerSecond;
    if (isOver) load.overSince ??= at;
    else if (load.overSince !== undefined) {
      box.overloadedMs += at - load.overSince;
      load.overSince = undefined;
    }
  }
}

function newBox(id: string): ReplayedBox {
  return { id, siteId: "", networkBitsPerSecond: 0, sessionsGained: 0, peakBitsPerSecond: 0, peakBeforeBitsPerSecond: 0, overloadedMs: 0 };
}

/** Undefined for what is no line of a decision log. */
function parseLine(text: string): FleetLine | RankLine | EndLine | undefined {
  try {
    const line = JSON.parse(text) as { k?: string; t?: unknown; s?: unknown; b?: unknown; r?: unknown; h?: unknown; boxes?: unknown };
    if (line.k === "fleet" && Array.isArray(line.boxes)) return line as unknown as FleetLine;
    if (typeof line.t !== "number" || typeof line.s !== "string") return undefined;
    if (line.k === "end") return line as unknown as EndLine;
    if (line.k === "rank" && Array.isArray(line.r) && Array.isArray(line.h) && typeof line.b === "number")
      return line as unknown as RankLine;
  } catch {
    // Cut off in the middle.
  }
  return undefined;
}
