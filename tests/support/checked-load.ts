// Requests without end whose every byte is compared: what a test runs while it does something cruel.
import assert from "node:assert/strict";
import { request } from "undici";
import type { Random } from "./random.js";

export interface CheckedLoad {
  /** Stops, and throws what went wrong with any request. Resolves to how many there were. */
  stop(): Promise<number>;
  readonly requests: number;
}

export interface CheckedLoadOptions {
  url: string;
  files: ReadonlyMap<string, Buffer>;
  random: Random;
  connections?: number;
  rangeBytesMax?: number;
}

/** Starts to ask for random ranges of `files`. */
export function startCheckedLoad({ url, files, random, connections = 4, rangeBytesMax = 200_000 }: CheckedLoadOptions): CheckedLoad {
  const names = [...files.keys()];
  const failures: string[] = [];
  let requests = 0;
  const stopping = new AbortController();
  const line = async () => {
    while (!stopping.signal.aborted && failures.length === 0) {
      const name = random.pick(names);
      const whole = files.get(name)!;
      const first = random.below(whole.length);
      const last = Math.min(whole.length - 1, first + random.below(rangeBytesMax));
      const what = `${name} ${first}-${last}`;
      try {
        const answer = await request(url + name, { headers: { range: `bytes=${first}-${last}` } });
        const body = Buffer.from(await answer.body.arrayBuffer());
        if (answer.statusCode !== 206) failures.push(`${what}: ${answer.statusCode} ${body.toString("utf8", 0, 200)}`);
        else if (!body.equals(whole.subarray(first, last + 1))) failures.push(`${what}: wrong bytes`);
      } catch (error) {
        failures.push(`${what}: ${String(error)}`);
      }
      requests++;
    }
  };
  const lines = Array.from({ length: connections }, line);
  return {
    get requests() {
      return requests;
    },
    async stop() {
      stopping.abort();
      await Promise.all(lines);
      assert.deepEqual(failures, []);
      return requests;
    },
  };
}
