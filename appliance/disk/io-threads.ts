// How many reads of one disk may be under way, so that a disk that hangs does not take the threads that the others need.
//
// Node does the file reads of all threads of a process in one pool, of 4 threads unless UV_THREADPOOL_SIZE says otherwise before the first of them
// starts; cli/millrace.cjs sees to that. A read of a disk that hangs keeps its thread until the system gives up, which may be never.

/** For all that is not the read of a slot: commits of the index, names, settings, logs. */
const threadsForOthers = 16;
/** Per disk, next to reads for requests: a write, a sync, a probe, and what scrub and emptying read. */
const threadsPerDiskForOthers = 5;

/** Part of all frames that the reads of one disk may hold: reads that hang keep theirs, and two disks may hang. */
const framesShareOfDisk = 1 / 4;

export interface ReadsPerDiskOptions {
  frames: number;
  /** Threads of the pool. */
  threads: number;
  disks: number;
  workers: number;
  /** What each worker would have under way at one disk. */
  wanted: number;
}

/** Reads that each worker may have under way at each disk; at least 1. `enough`: one disk that hangs leaves threads for all others. */
export function readsPerDiskOf({ frames, threads, disks, workers, wanted }: ReadsPerDiskOptions): { reads: number; enough: boolean } {
  const perDisk = Math.floor((threads - threadsForOthers) / disks) - threadsPerDiskForOthers;
  const reads = Math.max(1, Math.min(wanted, Math.floor(perDisk / workers), Math.floor((frames * framesShareOfDisk) / workers)));
  return { reads, enough: (reads * workers + threadsPerDiskForOthers) * disks + threadsForOthers <= threads };
}

/** The size of this process's pool. */
export function ioThreadsOf(environment: NodeJS.ProcessEnv): number {
  return Math.min(1024, Math.max(1, Number(environment["UV_THREADPOOL_SIZE"]) || 4));
}
