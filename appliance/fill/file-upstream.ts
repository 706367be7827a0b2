// An upstream that is a folder on this machine: file:///srv/films/.
import { open, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { digestsPathOf, parseObjectDigests } from "../../fill-protocol/object-digests.js";
import { errnoOf, messageOf } from "../../runtime/operating-error.js";
import type { Upstream, UpstreamFailure, UpstreamObject, UpstreamRange, UpstreamRequest } from "./upstream.js";

const partBytes = 256 * 1024;

export class FileUpstream implements Upstream {
  readonly name: string;
  readonly kind = "origin";
  readonly #root: string;

  /** Paths are checked before they come here: no ".." is in them. */
  constructor(root: string) {
    this.#root = root;
    this.name = `file://${root}`;
  }

  async describe({ path }: UpstreamRequest): Promise<UpstreamObject | "not-found" | UpstreamFailure> {
    try {
      const status = await stat(join(this.#root, path), { bigint: true });
      if (!status.isFile()) return "not-found";
      const sizeBytes = Number(status.size);
      const object = { sizeBytes, etag: etagOf(status), lastModifiedUnixMs: Number(status.mtimeMs) };
      const encoded = await readFile(join(this.#root, digestsPathOf(path))).catch((error: unknown) => {
        if (isMissing(error)) return undefined;
        throw error;
      });
      if (!encoded) return object;
      const digests = parseObjectDigests(encoded, path);
      if (!digests) return { failure: "bad-answer", detail: `the digests of ${path} are damaged: ingest it again` };
      if (Number(digests.sizeBytes) !== sizeBytes)
        return { failure: "bad-answer", detail: `${path} was changed after its digests were made: ingest it again` };
      return { sizeBytes, etag: digests.etag, lastModifiedUnixMs: Number(digests.lastModifiedUnixMs), digests };
    } catch (error) {
      return isMissing(error) ? "not-found" : { failure: "unreachable", detail: messageOf(error) };
    }
  }

  async fetch(range: UpstreamRange): Promise<UpstreamFailure | "not-found" | undefined> {
    let file;
    try {
      file = await open(join(this.#root, range.path), "r");
    } catch (error) {
      return isMissing(error) ? "not-found" : { failure: "unreachable", detail: messageOf(error) };
    }
    try {
      const changed = { failure: "version-changed", detail: `${range.path} is not the version it was` } as const;
      if (!range.digested && etagOf(await file.stat({ bigint: true })) !== range.etag) return changed;
      // A read cannot be called off, and may end after we are: it goes into memory of its own.
      const part = Buffer.allocUnsafeSlow(Math.min(partBytes, range.into.length));
      for (let done = 0; done < range.into.length;) {
        const { bytesRead } = await file.read(part, 0, Math.min(part.length, range.into.length - done), range.offsetBytes + done);
        if (range.signal?.aborted) return { failure: "cancelled", detail: "it was let go of" };
        if (bytesRead === 0) return changed;
        range.into.set(part.subarray(0, bytesRead), done);
        done += bytesRead;
        // Whether it still is the version that it was is known at the end only; digests tell of each part.
        if (range.digested) range.onBytes?.(done);
      }
      if (!range.digested && etagOf(await file.stat({ bigint: true })) !== range.etag) return changed;
      return undefined;
    } catch (error) {
      return { failure: "unreachable", detail: messageOf(error) };
    } finally {
      await file.close();
    }
  }

  async close(): Promise<void> {}
}

/** Strong, as long as nobody changes a file within the clock's grain and sets its date back. */
function etagOf(status: { size: bigint; mtimeNs: bigint }): string {
  return `"${status.size.toString(16)}-${status.mtimeNs.toString(16)}"`;
}

function isMissing(error: unknown): boolean {
  return ["ENOENT", "ENOTDIR", "ENAMETOOLONG"].includes(errnoOf(error) ?? "");
}
