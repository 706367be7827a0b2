// Counters in shared memory: one row per thread, so that counting is one plain addition and takes no lock.

/** Every counter of the appliance: its name for Prometheus, its fixed labels, and what to do about it. */
export const counterTable = {
  requests: { name: "millrace_requests_total", help: "Requests received, of every kind." },
  status200: {
    name: "millrace_responses_total",
    labels: { status: "200" },
    help: "Responses begun, by status. A rise of 5xx: look at upstreams and disks.",
  },
  status206: { name: "millrace_responses_total", labels: { status: "206" } },
  status304: { name: "millrace_responses_total", labels: { status: "304" } },
  status307: { name: "millrace_responses_total", labels: { status: "307" } },
  status400: { name: "millrace_responses_total", labels: { status: "400" } },
  status403: { name: "millrace_responses_total", labels: { status: "403" } },
  status404: { name: "millrace_responses_total", labels: { status: "404" } },
  status405: { name: "millrace_responses_total", labels: { status: "405" } },
  status412: { name: "millrace_responses_total", labels: { status: "412" } },
  status429: { name: "millrace_responses_total", labels: { status: "429" } },
  status416: { name: "millrace_responses_total", labels: { status: "416" } },
  status508: { name: "millrace_responses_total", labels: { status: "508" } },
  status502: { name: "millrace_responses_total", labels: { status: "502" } },
  status503: { name: "millrace_responses_total", labels: { status: "503" } },
  status504: { name: "millrace_responses_total", labels: { status: "504" } },
  statusOther: { name: "millrace_responses_total", labels: { status: "other" } },
  "token-missing": {
    name: "millrace_requests_refused_total",
    labels: { reason: "token-missing" },
    help: "Requests refused, by why. token-unknown-key: give this appliance the key that signs. token-expired: look at clocks and token lifetimes. token-bad-signature, token-other-path: someone makes up URLs.",
  },
  "token-malformed": { name: "millrace_requests_refused_total", labels: { reason: "token-malformed" } },
  "token-unknown-key": { name: "millrace_requests_refused_total", labels: { reason: "token-unknown-key" } },
  "token-bad-signature": { name: "millrace_requests_refused_total", labels: { reason: "token-bad-signature" } },
  "token-expired": { name: "millrace_requests_refused_total", labels: { reason: "token-expired" } },
  "token-other-path": { name: "millrace_requests_refused_total", labels: { reason: "token-other-path" } },
  "token-other-client": { name: "millrace_requests_refused_total", labels: { reason: "token-other-client" } },
  "token-revoked": { name: "millrace_requests_refused_total", labels: { reason: "token-revoked" } },
  "client-refused": { name: "millrace_requests_refused_total", labels: { reason: "client-refused" } },
  "client-rate": { name: "millrace_requests_refused_total", labels: { reason: "client-rate" } },
  "client-requests": { name: "millrace_requests_refused_total", labels: { reason: "client-requests" } },
  "client-connections": { name: "millrace_requests_refused_total", labels: { reason: "client-connections" } },
  playersStarved: {
    name: "millrace_players_starved_total",
    help: "Requests whose player said in CMCD (bs) that its buffer had run empty. It rises: clients get less than they need, here or on the way.",
  },
  bytesSent: { name: "millrace_sent_bytes_total", help: "Bytes of bodies handed to the network." },
  responsesAborted: {
    name: "millrace_responses_aborted_total",
    labels: { by: "client" },
    help: "Responses that ended before their last byte. By the client: it left. By us: a chunk could not be had in mid-body; look at upstreams.",
  },
  responsesBroken: { name: "millrace_responses_aborted_total", labels: { by: "appliance" } },
  /** Goes up and down: a gauge, not a counter. */
  underWay: { name: "millrace_responses_under_way" },
  /** A gauge: requests by which other appliances fill. */
  fillRequestsUnderWay: { name: "millrace_fill_requests_under_way" },
  fillRequestsRefused: {
    name: "millrace_fill_requests_refused_total",
    labels: { reason: "busy" },
    help: "Requests of other appliances that were refused. busy: they ask other sources; give this appliance more headroom if it stays so. loop: appliances name each other as upstreams; look at their settings.",
  },
  fillRequestsLooped: { name: "millrace_fill_requests_refused_total", labels: { reason: "loop" } },
  chunksFromMemory: {
    name: "millrace_chunks_served_total",
    labels: { from: "memory" },
    help: "Chunks that responses used, by where they came from.",
  },
  diskReadBytes: {
    name: "millrace_disk_read_bytes_total",
    help: "Bytes that requests had read from slots, headers included; some may have come from the system's page cache.",
  },
  chunksFromDisk: { name: "millrace_chunks_served_total", labels: { from: "disk" } },
  chunksFromUpstream: { name: "millrace_chunks_served_total", labels: { from: "upstream" } },
  slotsBad: {
    name: "millrace_slots_bad_total",
    help: "Slots that did not hold what the index said, and were dropped. More than a few after a crash: the disk alters data; replace it.",
  },
  framesShort: {
    name: "millrace_frames_short_total",
    help: "Times that no frame was free: every one was pinned by a response. Give the appliance more ram.",
  },
  chunksWarmed: {
    name: "millrace_warmed_chunks_total",
    help: "Chunks brought into memory because a player said in CMCD that it would ask for them next.",
  },
  accessLogDropped: {
    name: "millrace_access_log_dropped_lines_total",
    help: "Lines of the access log that were dropped because its disk was slower than the requests. Put it on another disk.",
  },
  workerCrashes: {
    name: "millrace_worker_crashes_total",
    help: "Serving workers that ended by a bug and were started again. Not 0: report the stack that the log has.",
  },
  fetches: { name: "millrace_fill_fetches_total", help: "Chunks asked for upstream." },
  fetchesHedged: {
    name: "millrace_fill_fetches_hedged_total",
    help: "Chunks that a second source was asked for because the first was late. It rises: look at the sources in /status.",
  },
  fetchesLeft: {
    name: "millrace_fill_fetches_left_total",
    help: "Fetches that were given up because every client that waited had left.",
  },
  sourcesBusy: {
    name: "millrace_fill_sources_busy_total",
    help: "Fetches that a source refused because it had too much to do. It stays high: there is too little to fill from.",
  },
  fetchedBytes: { name: "millrace_fill_fetched_bytes_total", help: "Bytes of chunks that came from upstream and were right." },
  fetchesFailed: { name: "millrace_fill_fetches_failed_total", help: "Fetches that ended without the chunk; the next upstream is asked." },
  chunksWrong: {
    name: "millrace_fill_wrong_chunks_total",
    help: "Chunks whose bytes did not match the origin's digests, and were thrown away. Not 0: an upstream alters data.",
  },
  chunksStored: { name: "millrace_fill_stored_chunks_total", help: "Chunks written to a disk and committed to the index." },
  chunksNotStored: {
    name: "millrace_fill_not_stored_chunks_total",
    help: "Chunks that were served from memory only, because no disk could take them.",
  },
  chunksEvicted: { name: "millrace_evicted_chunks_total", help: "Chunks that gave their slot to another." },
} as const satisfies Record<string, { name: string; labels?: Record<string, string>; help?: string }>;

export type CounterName = keyof typeof counterTable;

const names = Object.keys(counterTable) as CounterName[];

/** The place of each counter in a row. */
export const counterPlace = Object.fromEntries(names.map((name, place) => [name, place])) as Readonly<Record<CounterName, number>>;

/** Memory for `threads` rows. */
export function allocateCounters(threads: number): SharedArrayBuffer {
  return new SharedArrayBuffer(threads * names.length * 8);
}

/** One thread's row: add to `row[counterPlace.NAME]`. Numbers are exact up to 2^53. */
export function counterRow(memory: SharedArrayBuffer, thread: number): Float64Array {
  return new Float64Array(memory, thread * names.length * 8, names.length);
}

/** The sum of one counter over all threads. */
export function sumCounter(memory: SharedArrayBuffer, name: CounterName): number {
  const all = new Float64Array(memory);
  let sum = 0;
  for (let at = counterPlace[name]; at < all.length; at += names.length) sum += all[at]!;
  return sum;
}
