// The lease of an appliance, kept in a file so that a restart without the control plane still has it.
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from "node:fs";
import { z } from "zod";

const leaseSchema = z.object({ leaseId: z.string(), issuedAtUnixMs: z.number(), expiresAtUnixMs: z.number() });

/** What the control plane lets this appliance do while it is away. */
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
