// The figures by name. Imports nothing: the command line lists them without loading the bench.

export const figureNames = {
  "storage-cold": "cold reads: share of the disk's raw rate, and event-loop delay",
  "storage-write": "write path: verified fill to disk against the disk's raw writes",
  index: "an index of ten million chunks: lookups, restart, memory, rebuild",
  spread: "spread of chunks and reads over twelve disks, and what a lost or new disk moves",
  workers: "two serving workers against one",
  "steady-state": "ten million requests: heap, resident memory, allocation per request",
  "hostile-clients": "hostile clients: what they cost the others, and whether anything stays behind",
  connections: "memory of 10,000 idle connections, and their spread over the workers",
} as const satisfies Record<string, string>;
