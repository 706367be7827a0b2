// What the threads of an appliance say to each other. Plain data, sent by structured clone.
import type { MessagePort } from "node:worker_threads";
import type { TokenKey } from "../fill-protocol/token-key.js";
import type { RankedSources } from "./fill/escalation.js";
import type { SourceStatus } from "./fill/source-health.js";
import type { DiskDescription } from "./disk/disk-set.js";
import type { ObjectRecord } from "./object.js";
import type { TokenRules } from "./serve/token-checker.js";
import type { ApplianceSettings } from "./settings.js";

/** Why something could not be had from upstream, with the HTTP status that a player sees. */
export const fillFailures = {
  /** Every upstream that answered says that there is no such object. */
  "not-found": 404,
  /** No upstream gave a right answer. */
  "upstream-failed": 502,
  "upstream-timeout": 504,
  /** All frames are pinned, or too many fetches are waiting. */
  busy: 503,
  /** The object has a newer version now; what was asked for is no more to be had. */
  "version-changed": 502,
  /** The request came through this appliance already, or would wait for itself. */
  loop: 508,
} as const;

export type FillFailure = keyof typeof fillFailures;

export type DescribeOutcome = { object: ObjectRecord } | { failure: FillFailure };

/** `frame` holds all of the chunk, and is pinned once for the thread that asked. */
export type FetchOutcome = { frame: number } | { failure: FillFailure };

/** From a serving worker to the fill worker. `id` comes back with the answer. */
export type ServeToFill =
  | { type: "describe"; id: number; path: string; via: readonly string[]; refresh: boolean }
  | { type: "fetch"; id: number; object: ObjectRecord; chunk: number; via: readonly string[] }
  /** Nobody waits for the answer to "fetch" `id` any more. It comes all the same. */
  | { type: "leave"; id: number }
  | { type: "digests"; id: number; object: ObjectRecord }
  /** A slot that did not hold what the index said. */
  | { type: "bad-slot"; objectKey: Uint8Array; chunk: number; diskNumber: number; slot: number };

export type FillToServe =
  | { type: "described"; id: number; outcome: DescribeOutcome }
  /** The frame is being filled: see `FrameArena.validBytesOf`. It is pinned once for the thread that asked. */
  | { type: "arriving"; id: number; frame: number }
  /** There are more bytes in that frame now. */
  | { type: "arrived"; id: number }
  | { type: "fetched"; id: number; outcome: FetchOutcome }
  | { type: "digests"; id: number; digests: Uint8Array | undefined }
  /** The object has a newer version, or is gone: look again before the next answer. */
  | { type: "changed"; path: string };

/** How far the manifest's objects are held. */
export interface FillProgress {
  manifestVersion: string;
  objects: number;
  objectsHeld: number;
  bytes: number;
  bytesHeld: number;
  /** Objects that could not be filled in the last round, with why; at most 20. */
  failed: { path: string; reason: string }[];
  state: FillState;
  /** Objects that nobody may be asked for yet who has them. */
  waiting: number;
  /** Over the last seconds. */
  bytesPerSecond: number;
  /** At that rate; null when nothing moves. */
  etaSeconds: number | null;
  /** When the next fill window opens, or a moment ago when one is open; null: not within two days. */
  opensUnixMs: number | null;
  underWay: { path: string; bytes: number; bytesHeld: number; urgent: boolean }[];
  sources: SourceStatus[];
}

/** out-of-hours: no fill window is open, and nothing urgent is lacking. waiting: for sources that have what is lacking. */
export const fillStates = ["filling", "done", "paused", "out-of-hours", "waiting"] as const;
export type FillState = (typeof fillStates)[number];

/** What of the manifest the disks keep, and what was cut off because it is larger than its share of them. */
export interface ManifestKept {
  version: string;
  objectsKept: number;
  /** Chunks of what is kept, and how many there is room for. */
  chunks: number;
  chunksMax: number;
  objectsCut: number;
  bytesCut: number;
}

/** Which of the held objects are exported. */
export type SeedSelection = { what: "manifest" } | { what: "prefix"; prefix: string } | { what: "all" };

/** What is to be exported or imported. It outlives a restart. */
export type SeedOrder = { jobId: string } & (
  | { kind: "export"; folder: string; selection: SeedSelection; bytesMax: number | null }
  | { kind: "import"; folder: string }
  | { kind: "import"; from: string }
);

export type SeedState = "running" | "done" | "stopped" | "failed";

/** How far the last export or import is. */
export type SeedProgress = SeedOrder & {
  state: SeedState;
  /** Why it is over, when it has not just done everything. */
  reason: string;
  /** In this run: written to the folder, or stored on the disks. */
  chunks: number;
  bytes: number;
  /** They were there before. */
  chunksThere: number;
  bytesThere: number;
  chunksFailed: number;
  objectsRefused: number;
  /** Of the whole seed; null: not known yet. */
  bytesTotal: number | null;
  bytesLeft: number | null;
  /** Some of what has failed or was refused; at most 20. */
  failed: { path: string; reason: string }[];
  /** Over the last seconds. */
  bytesPerSecond: number;
  etaSeconds: number | null;
};

export type MainToFill =
  /** Export or import a seed. */
  | { type: "seed"; order: SeedOrder }
  | { type: "stop-seed" }
  /** Go on with what a restart has interrupted: its progress is listened to now. */
  | { type: "resume-seed" }
  /** There is a new manifest in `file`. */
  | { type: "manifest"; file: string }
  /** Undefined: the control plane does not answer. */
  | { type: "sources"; id: number; ranked: RankedSources | undefined }
  | { type: "pause-fill"; paused: boolean }
  /** The keys to sign tokens for other appliances with, from now on. */
  | { type: "token-keys"; keys: readonly TokenKey[] }
  | DiskMessage
  /** Move the chunks of a disk to the others. */
  | { type: "empty-disk"; diskNumber: number }
  /** Something was purged: get its space back. */
  | { type: "purged" }
  /** The line of a serving worker, also of one that has been started again. */
  | { type: "serve"; port: MessagePort }
  | { type: "stop" };

/** What every thread is told of disks that come and go. */
export type DiskMessage =
  | { type: "disk-added"; disk: DiskDescription }
  /** It is out of use: let go of its files, so that it can be unmounted. */
  | { type: "disk-closed"; diskNumber: number };

/** How far the emptying of a disk is. `left` counts its chunks that are still in the index. */
export interface EmptyingProgress {
  diskNumber: number;
  moved: number;
  /** Could not be read any more; they are fetched again when they are wanted. */
  lost: number;
  left: number;
  done: boolean;
}

export type FillToMain =
  | { type: "ready" }
  | { type: "held-changed"; paths: string[] }
  | { type: "ask-sources"; id: number; path: string }
  | { type: "progress"; progress: FillProgress }
  | { type: "seed"; progress: SeedProgress }
  /** What of the manifest's head is kept in memory. */
  | { type: "pinned"; chunks: number; bytes: number }
  | { type: "emptying"; progress: EmptyingProgress }
  | ({ type: "manifest-cut" } & ManifestKept)
  | { type: "stopped" };

export type MainToServe =
  | { type: "reload"; settings: ApplianceSettings }
  /** Keys and revocations, of the settings and of the lease. */
  | { type: "tokens"; rules: TokenRules }
  /** The access log was moved away: go on in a new file. */
  | { type: "reopen-log" }
  | { type: "drain" }
  | { type: "close" }
  | { type: "purged" }
  | DiskMessage;

export type ServeToMain =
  | { type: "listening" }
  /** Nothing from before the last purge is answered any more. */
  | { type: "purge-seen" }
  | { type: "failed"; code: string; message: string }
  | { type: "reload-failed"; error: string }
  | { type: "drained" }
  /** Told when the worker has put its things in order; it ends by itself then. `framesLost` were being written to, and stay out of use. */
  | { type: "crashed"; error: string; pinsTakenBack: number; framesLost: number };
