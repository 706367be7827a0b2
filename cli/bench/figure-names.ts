// The figures by name. Imports nothing: the command line lists them without loading the bench.

export const figureNames = {
  "storage-cold": "cold reads: share of the disk's raw rate, and event-loop delay",
} as const satisfies Record<string, string>;
