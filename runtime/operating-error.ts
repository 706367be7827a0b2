// An error of the world (disk, network, a person's input), as opposed to an error of the program.

/** What went wrong, for programs: stable, lower-case, words joined by dashes ("disk-missing"). */
export type OperatingErrorCode = string;

export interface OperatingErrorOptions {
  /** Whose fault it is, for a person: a file, a URL, a disk. */
  source?: string;
  /** The same call may succeed later. */
  retryable?: boolean;
  /** Not before; for limits. */
  retryAfterMs?: number;
  cause?: unknown;
}

/**
 * Thrown where an operation of the outside world failed. The message says "Cannot X: reason" and is fit to be shown to the
 * person who asked. Programmer errors are never of this class: they crash.
 */
export class OperatingError extends Error {
  readonly code: OperatingErrorCode;
  readonly source: string | undefined;
  readonly retryable: boolean;
  readonly retryAfterMs: number | undefined;

  constructor(code: OperatingErrorCode, message: string, options: OperatingErrorOptions = {}) {
    super(message, { cause: options.cause });
    this.name = "OperatingError";
    this.code = code;
    this.source = options.source;
    this.retryable = options.retryable ?? false;
    this.retryAfterMs = options.retryAfterMs;
  }
}

/** The message of whatever was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The errno code ("ENOENT") of a system error, undefined for any other. */
export function errnoOf(error: unknown): string | undefined {
  if (error instanceof Error && "code" in error && typeof error.code === "string") return error.code;
  return undefined;
}
