// Where a piece of media lies: a URL and, in a file that holds more than it, the bytes.

export interface MediaPiece {
  /**
   * URL references, each resolved against the one before, the first against the URL that the player was given: so that the same piece can be
   * had from another host. Empty: that URL itself.
   */
  references: readonly string[];
  /** Null: the whole file. */
  range: { firstByte: number; bytes: number } | null;
}

export interface MediaSegment extends MediaPiece {
  /** Where the segment begins and ends in the presentation. */
  startSeconds: number;
  endSeconds: number;
}

/** One rendition: a rung of the ladder, or the sound. */
export interface MediaTrack {
  /** What a decoder needs before the first segment; null where segments stand alone. */
  initialization: MediaPiece | null;
  segments: MediaSegment[];
}

/** What a player can play, loaded piece by piece as it needs it. */
export interface Presentation {
  /** Of the video rungs, rising; a single 0 where there is one rung whose bitrate is not said. */
  bitsPerSecond: readonly number[];
  loadVideo(rung: number): Promise<MediaTrack>;
  /** Null where the rungs hold the sound themselves, or there is none. */
  loadAudio(): Promise<MediaTrack | null>;
}

/** Fetches a small text or a piece of a file for a player; rejects when the player gives up. */
export interface MediaGetter {
  getText(references: readonly string[]): Promise<string>;
  /** Bytes of the whole file. */
  getLength(references: readonly string[]): Promise<number>;
}
