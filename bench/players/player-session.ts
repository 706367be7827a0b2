// One simulated player: opens the presentation, fetches segments as its rule says, and lets its buffer play.
import { messageOf, OperatingError } from "../../runtime/operating-error.js";
import type { BitrateRule } from "./bitrate-rule.js";
import type { FailoverGetter } from "./failover-getter.js";
import type { MediaSegment, MediaTrack, Presentation } from "./media-range.js";
import { PlaybackBuffer } from "./playback-buffer.js";
import type { PlaybackClock } from "./playback-clock.js";
import type { PlayerOutcome } from "./players-result.js";

export interface PlayerSessionOptions {
  player: number;
  trace: string;
  open: (getter: FailoverGetter) => Promise<Presentation>;
  getter: FailoverGetter;
  rule: BitrateRule;
  clock: PlaybackClock;
  bufferMaxSeconds: number;
  startLevelSeconds: number;
  /** Media seconds that the viewer watches, at most. */
  watchSeconds: number;
  signal: AbortSignal;
}

/** What is asked for next: of picture and sound, the one that is buffered less far. */
interface Cursor {
  track: MediaTrack;
  next: number;
}

/** Playback seconds after which a rule that waits is asked again. */
const askAgainSeconds = 0.1;

export class PlayerSession {
  readonly #options: PlayerSessionOptions;
  readonly #buffer: PlaybackBuffer;
  #presentation: Presentation | undefined;
  readonly #videoTracks = new Map<number, MediaTrack>();
  #rung: number | undefined;
  #switches = 0;
  #segments = 0;
  #bitSeconds = 0;
  #videoSeconds = 0;

  constructor(options: PlayerSessionOptions) {
    this.#options = options;
    const { clock, startLevelSeconds } = options;
    this.#buffer = new PlaybackBuffer({ openedSeconds: clock.nowSeconds(), startLevelSeconds });
  }

  /** The bitrates that it can choose from; empty before the presentation was opened. */
  get bitsPerSecond(): readonly number[] {
    return this.#presentation?.bitsPerSecond ?? [];
  }

  /** Resolves when the viewer has seen all, the player gave up, or the signal stopped it. */
  async play(): Promise<PlayerOutcome> {
    try {
      await this.#fetchAll();
      // All is there: the rest plays without anything that could go wrong.
      this.#buffer.advance(this.#options.clock.nowSeconds() + this.#buffer.levelSeconds);
      return this.#outcome("finished", null);
    } catch (error) {
      this.#buffer.advance(this.#options.clock.nowSeconds());
      if (this.#options.signal.aborted) return this.#outcome("interrupted", null);
      if (error instanceof OperatingError) return this.#outcome("gave-up", messageOf(error));
      throw error;
    }
  }

  async #fetchAll(): Promise<void> {
    const { open, getter, watchSeconds } = this.#options;
    this.#presentation = await open(getter);
    const firstRung = this.#askRule(this.#presentation, 0) ?? 0;
    const video: Cursor = { track: await this.#videoTrack(firstRung), next: 0 };
    const audioTrack = await this.#presentation.loadAudio();
    if (audioTrack?.initialization) await getter.getPiece(audioTrack.initialization);
    const audio: Cursor | null = audioTrack ? { track: audioTrack, next: 0 } : null;
    const endSeconds = Math.min(watchSeconds, video.track.segments.at(-1)!.endSeconds, audioTrack?.segments.at(-1)!.endSeconds ?? Infinity);
    for (;;) {
      const videoTo = bufferedTo(video);
      const audioTo = audio ? bufferedTo(audio) : Infinity;
      if (Math.min(videoTo, audioTo) >= endSeconds) return;
      if (audio && audioTo < videoTo) await this.#fetchAudio(audio);
      else await this.#fetchVideo(video);
      const playable = Math.min(bufferedTo(video), audio ? bufferedTo(audio) : Infinity, endSeconds);
      this.#buffer.extendTo(playable, this.#options.clock.nowSeconds(), playable >= endSeconds);
    }
  }

  async #fetchVideo(cursor: Cursor): Promise<void> {
    const segment = cursor.track.segments[cursor.next]!;
    const rung = await this.#chooseRung(segment);
    if (rung !== this.#rung) {
      if (this.#rung !== undefined) this.#switches++;
      this.#rung = rung;
      cursor.track = await this.#videoTrack(rung);
    }
    const chosen = cursor.track.segments[cursor.next];
    if (!chosen) throw new OperatingError("ladder-uneven", "Cannot play: one bitrate has fewer segments than another");
    const { bytes, seconds } = await this.#options.getter.getPiece(chosen);
    this.#options.rule.observe(bytes, seconds);
    const length = chosen.endSeconds - chosen.startSeconds;
    this.#bitSeconds += (this.#presentation!.bitsPerSecond[rung]! || (bytes * 8) / length) * length;
    this.#videoSeconds += length;
    this.#segments++;
    cursor.next++;
  }

  async #fetchAudio(cursor: Cursor): Promise<void> {
    await this.#options.getter.getPiece(cursor.track.segments[cursor.next]!);
    this.#segments++;
    cursor.next++;
  }

  /** Waits while the buffer is full or the rule wants it lower. */
  async #chooseRung(segment: MediaSegment): Promise<number> {
    const { clock, signal, bufferMaxSeconds } = this.#options;
    const segmentSeconds = segment.endSeconds - segment.startSeconds;
    for (;;) {
      this.#buffer.advance(clock.nowSeconds());
      const excess = this.#buffer.levelSeconds + segmentSeconds - bufferMaxSeconds;
      // A player that does not play yet must not wait for room: its buffer would never get lower.
      const playing = this.#buffer.state === "playing";
      if (playing && excess > 0 && this.#buffer.levelSeconds > 0) {
        await clock.sleep(Math.min(excess, this.#buffer.levelSeconds), signal);
        continue;
      }
      const rung = this.#askRule(this.#presentation!, segmentSeconds);
      if (rung !== undefined) return rung;
      if (!playing) return this.#rung ?? 0;
      await clock.sleep(askAgainSeconds, signal);
    }
  }

  #askRule({ bitsPerSecond }: Presentation, segmentSeconds: number): number | undefined {
    const { rule, bufferMaxSeconds } = this.#options;
    const bufferSeconds = this.#buffer.levelSeconds;
    const choice = rule.choose({ bitsPerSecond, bufferSeconds, segmentSeconds: segmentSeconds || 1, bufferMaxSeconds });
    return choice === "wait" ? undefined : choice;
  }

  async #videoTrack(rung: number): Promise<MediaTrack> {
    const known = this.#videoTracks.get(rung);
    if (known) return known;
    const track = await this.#presentation!.loadVideo(rung);
    if (track.initialization) await this.#options.getter.getPiece(track.initialization);
    this.#videoTracks.set(rung, track);
    return track;
  }

  #outcome(end: PlayerOutcome["end"], reason: string | null): PlayerOutcome {
    const { player, trace, getter } = this.#options;
    const { startupSeconds, playedSeconds, stallSeconds, stalls } = this.#buffer;
    const watched = playedSeconds + stallSeconds;
    return {
      player,
      trace,
      end,
      startupSeconds: startupSeconds ?? null,
      playedSeconds,
      stallSeconds,
      stalls,
      rebufferRatio: watched > 0 ? stallSeconds / watched : null,
      averageBitsPerSecond: this.#videoSeconds > 0 ? this.#bitSeconds / this.#videoSeconds : null,
      switches: this.#switches,
      segments: this.#segments,
      receivedBytes: getter.receivedBytes,
      failovers: getter.failovers,
      errors: getter.errors,
      reason,
    };
  }
}

/** Media seconds up to which the track was fetched. */
function bufferedTo({ track, next }: Cursor): number {
  return next === 0 ? 0 : track.segments[next - 1]!.endSeconds;
}
