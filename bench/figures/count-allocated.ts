// What a thread allocated, from the lines that V8 prints with --trace-gc.

/** "[pid:isolate] 1234 ms: Scavenge 20.1 (34.2) -> 12.1 (34.5) MB, …": megabytes of objects before and after. */
const line = /^\[\d+:(0x[\da-f]+)\]\s+\d+ ms: [^\d(]*?(?:\([^)]*\) )?(\d+\.\d+) \(\d+\.\d+\) -> (\d+\.\d+) \(/gm;
/** Figures of V8 have one decimal. */
const collectionsMin = 4;

/**
 * Bytes that the thread which allocated most did allocate between its first and its last collection in `text`, scaled up to what it would be with the
 * time before the first counted like that of the others. Undefined when there were too few collections.
 */
export function countAllocatedBytes(text: string): number | undefined {
  const threads = new Map<string, { lastMegabytes: number; megabytes: number; collections: number }>();
  for (const [, thread, before, after] of text.matchAll(line)) {
    const known = threads.get(thread!);
    if (!known) threads.set(thread!, { lastMegabytes: Number(after), megabytes: 0, collections: 0 });
    else {
      known.megabytes += Math.max(0, Number(before) - known.lastMegabytes);
      known.lastMegabytes = Number(after);
      known.collections++;
    }
  }
  const most = [...threads.values()].sort((a, b) => b.megabytes - a.megabytes)[0];
  if (!most || most.collections < collectionsMin) return undefined;
  return ((most.megabytes * (most.collections + 1)) / most.collections) * 2 ** 20;
}
