// What the bench must know of a server to start it beside others: is it here, can it do TLS, how is it started.
import type { ServerProcess } from "./server-process.js";

export interface Peer {
  name: string;
  schemes: readonly ("http" | "https")[];
  /** The server's version, or why it can't be started here. */
  find(): Promise<{ version: string } | { missing: string }>;
  /** The folders of the files that it reads while it serves; empty for one that keeps nothing on disk, which can't be measured cold. */
  readsFrom(start: Pick<PeerStart, "files" | "scratch">): string[];
  /** Starts it on a free port of 127.0.0.1; resolves when it answers. @throws OperatingError "peer-failed". */
  start(options: PeerStart): Promise<ServerProcess & { baseUrl: string }>;
}

export interface PeerStart {
  scheme: "http" | "https";
  /** Folder of the files to serve. */
  files: string;
  /** Empty folder for the peer's own files. */
  scratch: string;
  certificate: { cert: string; key: string };
  /** Processor list for taskset; null leaves the server unpinned. */
  cores: string | null;
  /** Memory that the server may use for the files. */
  memoryBytes: number;
  /** Disk that the server may use to keep copies of the files: enough for all. */
  diskBytes: number;
  /** An HTTP server with the same files, for peers that fetch from one. */
  originUrl: string;
}
