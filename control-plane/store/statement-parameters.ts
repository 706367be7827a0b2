// What may be bound to a statement, the same for every database.

import { OperatingError } from "../../runtime/operating-error.js";

/** SQLite ends text at a NUL; half of a surrogate pair is no UTF-8. Both come only from callers that try. */
const unstorable = /\0|\p{Surrogate}/u;
const int64Max = 2n ** 63n - 1n;

/**
 * `parameters` as every driver takes them: whole numbers as bigint, true and false as 1 and 0.
 *
 * The drivers must not see anything else: libsql ends the process when it is given a boolean, takes whole numbers for
 * floating ones, and mysql2 writes an object into the statement as a list of assignments.
 *
 * @throws OperatingError "invalid-argument" for text that can't be stored; TypeError, RangeError: the program's own fault.
 */
export function statementParameters(parameters: readonly unknown[]): (string | number | bigint | Uint8Array | null)[] {
  return parameters.map((value, position) => {
    if (value === null || value instanceof Uint8Array) return value;
    if (typeof value === "string") {
      if (unstorable.test(value)) throw new OperatingError("invalid-argument", "Cannot store text with a NUL or half a character");
      return value;
    }
    if (typeof value === "boolean") return value ? 1n : 0n;
    if (typeof value === "number") {
      if (Number.isSafeInteger(value)) return BigInt(value);
      if (!Number.isFinite(value) || Number.isInteger(value)) throw new RangeError(`Parameter ${position} is not exact: ${value}`);
      return value;
    }
    if (typeof value === "bigint") {
      if (value > int64Max || value < -int64Max - 1n) throw new RangeError(`Parameter ${position} has more than 64 bits: ${value}`);
      return value;
    }
    throw new TypeError(`Parameter ${position} is ${value === undefined ? "undefined" : typeof value}`);
  });
}
