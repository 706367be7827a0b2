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

/** @param lines of the log, oldest first. */
export function replayDecisions(lines: Iterable<string>, { without, sessionMaxMs }: ReplayOptions): Replay {
  const replay: Replay = {
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
  const boxes = new Map<string, ReplayedBox>();
  let byNumber = new Map<number, ReplayedBox>();
  const open = new Map<string, OpenSession>();
  const changes: Change[] = [];

  const end = (sessionId: string, at: number) => {
    const session = open.get(sessionId);
    if (!session) return;
    open.delete(sessionId);
    const endedAt = Math.min(Math.max(at, session.startedAt), session.startedAt + sessionMaxMs);
    const bytes = ((endedAt - session.startedAt) * session.bitsPerSecond) / 8000;
    if (session.fate !== "stays") replay.movedBytes += bytes;
    if (session.fate === "misses") replay.missedBytes += bytes;
    if (session.fate === "lost") replay.lostBytes += bytes;
    for (const [box, before] of [
      [session.before, true],
      [session.now, false],
    ] as const) {
      if (box === undefined) continue;
      changes.push(
        { at: session.startedAt, box, bits: session.bitsPerSecond, before },
        { at: endedAt, box, bits: -session.bitsPerSecond, before },
      );
    }
  };

  for (const text of lines) {
    if (text === "") continue;
    const line = parseLine(text);
    if (!line) {
      replay.badLines++;
      continue;
    }
    if (line.k === "fleet") {
      byNumber = new Map();
      for (const [number, id, siteId, , network] of line.boxes) {
        const box = boxes.get(id) ?? newBox(id);
        Object.assign(box, { siteId, networkBitsPerSecond: network });
        boxes.set(id, box);
        byNumber.set(number, box);
      }
      continue;
    }
    replay.fromUnixMs ??= line.t;
    replay.untilUnixMs = line.t;
    // A session that is decided again leaves where it was.
    const known = open.get(line.s);
    end(line.s, line.t);
    if (line.k === "end") continue;
    const ranked = line.r.map((number, at) => ({ box: byNumber.get(number), holds: line.h[at] === 1 }));
    const first = ranked[0]?.box;
    if (!known) replay.sessions++;
    const left = ranked.filter(({ box }) => box && !without.has(box.siteId));
    let fate: OpenSession["fate"] = "stays";
    if (first && without.has(first.siteId)) {
      fate = left.length === 0 ? "lost" : left[0]!.holds || !ranked[0]!.holds ? "moves" : "misses";
      if (!known || known.fate === "stays") {
        replay.moved++;
        if (fate === "lost") replay.lost++;
        else left[0]!.box!.sessionsGained++;
        if (fate === "misses") replay.misses++;
      }
    }
    open.set(line.s, { startedAt: line.t, bitsPerSecond: line.b, before: first?.id, now: left[0]?.box?.id, fate });
  }
  for (const sessionId of [...open.keys()]) end(sessionId, Infinity);
  addPeaks(boxes, changes);
  replay.boxes = [...boxes.values()]
    .filter(({ siteId }) => !without.has(siteId))
    .sort((a, b) => b.overloadedMs - a.overloadedMs || b.sessionsGained - a.sessionsGained || (a.id < b.id ? -1 : 1));
  return replay;
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
