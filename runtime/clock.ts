// Time as an argument, so that tests can turn the clock.

export interface Clock {
  /** Wall-clock milliseconds since 1970; may jump. For stamps that other machines read. */
  unixMs(): number;
  /** Milliseconds since some moment of this process; never goes back. For waiting and for ages. */
  monotonicMs(): number;
}

export const systemClock: Clock = {
  unixMs: () => Date.now(),
  monotonicMs: () => performance.now(),
};
