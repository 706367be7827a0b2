// Which policies can be simulated, under which names.
import { ArcPolicy } from "./arc-policy.js";
import { BeladyPolicy } from "./belady-policy.js";
import type { CachePolicy, CachePolicyOptions } from "./cache-policy.js";
import { FifoPolicy } from "./fifo-policy.js";
import { LruPolicy } from "./lru-policy.js";
import type { PolicyName } from "./policy-names.js";
import { S3FifoPolicy } from "./s3-fifo-policy.js";
import { SievePolicy } from "./sieve-policy.js";

interface PolicyRow {
  /** As people write it. */
  title: string;
  /** Looks into the future: no server can follow it. */
  offline: boolean;
  create(options: CachePolicyOptions): CachePolicy;
}

export const policyTable = {
  fifo: { title: "FIFO", offline: false, create: (options) => new FifoPolicy(options) },
  lru: { title: "LRU", offline: false, create: (options) => new LruPolicy(options) },
  sieve: { title: "SIEVE", offline: false, create: (options) => new SievePolicy(options) },
  "s3-fifo": { title: "S3-FIFO", offline: false, create: (options) => new S3FifoPolicy(options) },
  arc: { title: "ARC", offline: false, create: (options) => new ArcPolicy(options) },
  belady: { title: "Belady", offline: true, create: (options) => new BeladyPolicy(options) },
} as const satisfies Record<PolicyName, PolicyRow>;
