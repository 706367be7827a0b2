// What `millrace bench policies` can be asked for by name. Imports nothing, for the command line's help.

export const policyNames = ["fifo", "lru", "sieve", "s3-fifo", "arc", "belady"] as const;
export type PolicyName = (typeof policyNames)[number];

export const traceFormats = ["csv", "oracle-general"] as const;
export type TraceFormat = (typeof traceFormats)[number];
