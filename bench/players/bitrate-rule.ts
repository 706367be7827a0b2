// The role of a rule that chooses the bitrate of a player's next segment.

export interface RuleSituation {
  /** Of the ladder's rungs, rising. */
  bitsPerSecond: readonly number[];
  /** Media seconds ahead of the playhead. */
  bufferSeconds: number;
  /** Of the segment to be chosen. */
  segmentSeconds: number;
  /** The player asks for no segment that would fill its buffer beyond this. */
  bufferMaxSeconds: number;
}

export interface BitrateRule {
  /** The rung to fetch next, or "wait" until the buffer is lower. */
  choose(situation: RuleSituation): number | "wait";
  /** A segment came: so many bytes in so much time from the request to the last byte. */
  observe(bytes: number, seconds: number): void;
}
