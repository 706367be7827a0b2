// What lets an appliance go on without the control plane, and for how long.
import type { Lease } from "./appliance.js";

/**
 * The lease that an appliance gets when it registers: the one it has while more than half of it is left, so that a fleet that
 * registers all at once (a restarted control plane) costs no writes; else a new one.
 */
export function leaseAtRegister(
  known: Lease | undefined,
  { nowUnixMs, validForMs, newLeaseId }: { nowUnixMs: number; validForMs: number; newLeaseId: () => string },
): Lease {
  // A lease from the future, or longer than the setting allows, was made under another clock or setting.
  if (known && known.issuedAtUnixMs <= nowUnixMs && known.expiresAtUnixMs <= nowUnixMs + validForMs) {
    if (known.expiresAtUnixMs - nowUnixMs > validForMs / 2) return known;
  }
  return { leaseId: newLeaseId(), issuedAtUnixMs: nowUnixMs, expiresAtUnixMs: nowUnixMs + validForMs };
}

/** `lease` counted from now; undefined when it has expired or is another than `leaseId`: the appliance must register. */
export function renewLease(
  lease: Lease | undefined,
  { leaseId, nowUnixMs, validForMs }: { leaseId: string; nowUnixMs: number; validForMs: number },
): Lease | undefined {
  if (!lease || lease.leaseId !== leaseId || lease.expiresAtUnixMs <= nowUnixMs) return undefined;
  return { leaseId, issuedAtUnixMs: nowUnixMs, expiresAtUnixMs: nowUnixMs + validForMs };
}
