// How much of the film the browser has in hand.

/** Sound and picture do not begin at the same sample: a buffer that starts this much later still counts as beginning here. */
const gapSeconds = 0.25;

/** Seconds of film that can be played from the current position without another byte. */
export function bufferedSeconds(video: HTMLVideoElement): number {
  const { buffered, currentTime } = video;
  for (let index = 0; index < buffered.length; index++) {
    if (buffered.start(index) <= currentTime + gapSeconds && buffered.end(index) > currentTime) return buffered.end(index) - currentTime;
  }
  return 0;
}
