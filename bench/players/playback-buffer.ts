// The buffer of a player and what its viewer sees: the wait before the first picture, pictures, stalls.

export interface PlaybackBufferOptions {
  /** The player was opened at this moment. */
  openedSeconds: number;
  /** Media seconds that must be buffered before playback begins or goes on after a stall. */
  startLevelSeconds: number;
}

export type PlaybackState = "starting" | "playing" | "stalled" | "ended";

/**
 * Time is an argument and never goes back. The buffer is played at one media second per second while there is some; where it runs empty,
 * playback stalls at that very moment, not when someone looks.
 */
export class PlaybackBuffer {
  readonly #options: PlaybackBufferOptions;
  #state: PlaybackState = "starting";
  #atSeconds: number;
  #playedSeconds = 0;
  #bufferedToSeconds = 0;
  #complete = false;
  #startupSeconds: number | undefined;
  #stallSeconds = 0;
  #stalls = 0;

  constructor(options: PlaybackBufferOptions) {
    this.#options = options;
    this.#atSeconds = options.openedSeconds;
  }

  get state(): PlaybackState {
    return this.#state;
  }

  /** Media seconds ahead of the playhead. */
  get levelSeconds(): number {
    return this.#bufferedToSeconds - this.#playedSeconds;
  }

  get playedSeconds(): number {
    return this.#playedSeconds;
  }

  /** From opening to the first picture; undefined while there was none. */
  get startupSeconds(): number | undefined {
    return this.#startupSeconds;
  }

  /** After the first picture. */
  get stallSeconds(): number {
    return this.#stallSeconds;
  }

  get stalls(): number {
    return this.#stalls;
  }

  /** Lets time pass until `nowSeconds`. */
  advance(nowSeconds: number): void {
    const elapsed = nowSeconds - this.#atSeconds;
    if (elapsed <= 0) return;
    this.#atSeconds = nowSeconds;
    if (this.#state === "stalled") this.#stallSeconds += elapsed;
    if (this.#state !== "playing") return;
    const level = this.levelSeconds;
    if (elapsed < level) {
      this.#playedSeconds += elapsed;
      return;
    }
    this.#playedSeconds = this.#bufferedToSeconds;
    if (this.#complete) this.#state = "ended";
    else if (elapsed > level) {
      this.#state = "stalled";
      this.#stalls++;
      this.#stallSeconds += elapsed - level;
    }
  }

  /** At `nowSeconds` the media up to `mediaSeconds` can be played. `last`: there is no more of it. */
  extendTo(mediaSeconds: number, nowSeconds: number, last: boolean): void {
    this.advance(nowSeconds);
    this.#bufferedToSeconds = Math.max(this.#bufferedToSeconds, mediaSeconds);
    this.#complete ||= last;
    const enough = this.levelSeconds >= this.#options.startLevelSeconds || this.#complete;
    if ((this.#state === "starting" || this.#state === "stalled") && enough) {
      if (this.#state === "starting") this.#startupSeconds = nowSeconds - this.#options.openedSeconds;
      this.#state = this.levelSeconds > 0 ? "playing" : "ended";
    }
  }
}
