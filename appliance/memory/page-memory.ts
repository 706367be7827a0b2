// Shared memory that begins at a page, which the system asks for when a disk writes into it without the page cache (O_DIRECT).

/** The unit of a WebAssembly memory; its buffers begin at such a boundary. */
const unitBytes = 64 * 1024;
/** WebAssembly's limit: 4 GiB less a unit. */
const unitsMax = 65_535;

/** Not in the types that Node brings. */
declare const WebAssembly: {
  Memory: new (options: { initial: number; maximum: number; shared: true }) => { buffer: SharedArrayBuffer };
};

/**
 * At least `bytes` of zeros. Pages are taken from the system when they are first written.
 *
 * Node says of no other memory where it begins: that of a plain SharedArrayBuffer is 16 bytes behind a page with glibc. V8 reserves 10 GiB of
 * addresses, not of memory, for each; where that is not allowed (ulimit -v) it is a plain one, and `atPage` is false.
 */
export function allocatePages(bytes: number): { memory: SharedArrayBuffer; atPage: boolean } {
  const units = Math.ceil(bytes / unitBytes);
  if (units <= unitsMax) {
    try {
      return { memory: new WebAssembly.Memory({ initial: units, maximum: units, shared: true }).buffer, atPage: true };
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
    }
  }
  return { memory: new SharedArrayBuffer(bytes), atPage: false };
}
