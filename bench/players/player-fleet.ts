// Many players in one thread, who come one after the other.
import { setMaxListeners } from "node:events";
import { Agent as HttpAgent } from "node:http";
import { Agent as HttpsAgent } from "node:https";
import { systemClock } from "../../runtime/clock.js";
import { seededRandom } from "../load/seeded-random.js";
import type { BandwidthTrace } from "./bandwidth-trace.js";
import { FailoverGetter } from "./failover-getter.js";
import { openHls } from "./hls-presentation.js";
import { type LadderOptions, openLadder } from "./ladder-presentation.js";
import { PlaybackClock } from "./playback-clock.js";
import { PlayerSession } from "./player-session.js";
import type { PlayerOutcome } from "./players-result.js";
import type { RuleName } from "./rule-names.js";
import { ruleTable } from "./rule-table.js";
import { ShapedLink } from "./shaped-link.js";

export interface PlayerFleetOptions {
  urls: readonly string[];
  /** Null: the URLs are HLS playlists. */
  ladder: LadderOptions | null;
  rule: RuleName;
  /** Players take them in turn. */
  traces: readonly BandwidthTrace[];
  /** Numbers of the players of this thread, among all. */
  players: readonly number[];
  /** Of all threads. */
  playerCount: number;
  /** Playback seconds over which all players come, evenly. */
  arriveSeconds: number;
  bufferMaxSeconds: number;
  startLevelSeconds: number;
  watchSeconds: number;
  speed: number;
  serverTimeoutMs: number;
  seed: number;
  tls: { caPem: string | null; insecure: boolean };
}

export interface FleetOutcome {
  players: PlayerOutcome[];
  bitsPerSecond: number[];
}

export interface FleetProgress {
  started: number;
  ended: number;
}

/** Resolves when every player's evening is over, one way or another; soon after the signal. */
export async function runPlayerFleet(
  options: PlayerFleetOptions,
  signal: AbortSignal,
  onProgress: (progress: FleetProgress) => void,
): Promise<FleetOutcome> {
  const clock = new PlaybackClock(systemClock, options.speed);
  // Every player's every wait listens to it; each takes its listener away.
  setMaxListeners(0, signal);
  const progress: FleetProgress = { started: 0, ended: 0 };
  let bitsPerSecond: readonly number[] = [];
  const outcomes = await Promise.all(
    options.players.map(async (player) => {
      try {
        await clock.sleep((player / options.playerCount) * options.arriveSeconds, signal);
      } catch {
        return undefined;
      }
      progress.started++;
      onProgress(progress);
      const { session, close } = openPlayer(player, options, clock, signal);
      const outcome = await session.play();
      if (bitsPerSecond.length === 0) bitsPerSecond = session.bitsPerSecond;
      close();
      progress.ended++;
      onProgress(progress);
      return outcome;
    }),
  );
  return { players: outcomes.filter((outcome) => outcome !== undefined), bitsPerSecond: [...bitsPerSecond] };
}

function openPlayer(player: number, options: PlayerFleetOptions, clock: PlaybackClock, signal: AbortSignal) {
  const trace = options.traces[player % options.traces.length]!;
  // Players on the same trace are at different places in it, or all would stall together.
  const offsetSeconds = seededRandom(options.seed + player)() * trace.periodSeconds;
  const { caPem, insecure } = options.tls;
  const agentOptions = { keepAlive: true, maxSockets: 1 };
  const httpAgent = new HttpAgent(agentOptions);
  const httpsAgent = new HttpsAgent({ ...agentOptions, rejectUnauthorized: !insecure, ...(caPem === null ? {} : { ca: caPem }) });
  const { urls, serverTimeoutMs, ladder, rule, bufferMaxSeconds, startLevelSeconds, watchSeconds } = options;
  const link = new ShapedLink(trace, clock.nowSeconds(), offsetSeconds);
  const getter = new FailoverGetter({ urls, link, clock, httpAgent, httpsAgent, serverTimeoutMs, signal });
  const session = new PlayerSession({
    player,
    trace: trace.name,
    open: async (getter) => (ladder ? openLadder(getter, ladder) : openHls(getter)),
    getter,
    rule: ruleTable[rule].create(),
    clock,
    bufferMaxSeconds,
    startLevelSeconds,
    watchSeconds,
    signal,
  });
  const close = () => {
    httpAgent.destroy();
    httpsAgent.destroy();
  };
  return { session, close };
}
