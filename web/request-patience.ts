// How long a request may stand still before it is taken to another appliance.

/** While plenty is in the buffer there is time for a slow disk or a fill from far away. */
const maxPatienceMs = { firstByte: 5_000, nextBytes: 4_000 } as const;
/** With an empty buffer the viewer waits already; below this a lost packet would look like a lost appliance. */
const minPatienceMs = { firstByte: 2_500, nextBytes: 1_500 } as const;
/** Where every appliance is slow, moving on sooner helps nobody: each fruitless round doubles the patience, up to eight times. */
const maxDoublings = 3;

/**
 * Milliseconds without a byte after which an appliance counts as failed: half of what is in the buffer, so that a second one has the other
 * half, within bounds. `firstByte`: nothing has arrived yet. `fruitlessRounds`: how often all appliances were tried in vain just now.
 */
export function choosePatienceMs(phase: "firstByte" | "nextBytes", bufferSeconds: number, fruitlessRounds: number): number {
  const half = bufferSeconds * 500;
  const within = Math.min(maxPatienceMs[phase], Math.max(minPatienceMs[phase], half));
  return within * 2 ** Math.min(fruitlessRounds, maxDoublings);
}

/** No patience is longer than this: for limits that lie behind it. */
export const longestPatienceMs = maxPatienceMs.firstByte * 2 ** maxDoublings;
