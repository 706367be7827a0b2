// The lease of an appliance, kept in a file so that a restart without the control plane still has it.
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from "node:fs";
import { z } from "zod";

const tokenKeySchema = z.object({ id: z.string(), secret: z.string(), signsFromUnixMs: z.number(), untilUnixMs: z.number() });

const leaseSchema = z.object({
  leaseId: z.string(),
  issuedAtUnixMs: z.number(),
  expiresAtUnixMs: z.number(),
  // A lease from before there were keys in leases is still one.
  tokenKeys: z.array(tokenKeySchema).default([]),
  revokedSessions: z.array(z.string()).default([]),
  tokenKeysVersion: z.string().default(""),
});

/** What the control plane lets this appliance do while it is away. It holds secrets: nobody else may read its file. */
export type StoredLease = z.infer<typeof leaseSchema>;

/** The lease in `file`; undefined when there is none, or none that can be read. */
export function readLease(file: string): StoredLease | undefined {
  try {
    return leaseSchema.parse(JSON.parse(readFileSync(file, "utf8")));
  } catch {
    return undefined;
  }
}

/** Replaces the lease in `file`; a kill leaves the old one or the new one. */
export function writeLease(file: string, lease: StoredLease): void {
  const handle = openSync(`${file}.new`, "w", 0o600);
  writeSync(handle, `${JSON.stringify(lease)}\n`);
  fsyncSync(handle);
  closeSync(handle);
  renameSync(`${file}.new`, file);
}

/** A lease as it may be shown. */
export function withoutSecrets({ leaseId, issuedAtUnixMs, expiresAtUnixMs, tokenKeys, revokedSessions }: StoredLease) {
  const keys = tokenKeys.map(({ id, signsFromUnixMs, untilUnixMs }) => ({ id, signsFromUnixMs, untilUnixMs }));
  return { leaseId, issuedAtUnixMs, expiresAtUnixMs, tokenKeys: keys, revokedSessions: revokedSessions.length };
}
