// One file, or one byte range of a file, that a playlist names; and the rules for such names.
import { posix } from "node:path";
import { OperatingError } from "../../runtime/operating-error.js";

export interface ByteSpan {
  firstByte: number;
  /** Included. */
  lastByte: number;
}

export interface PackageReference {
  /** From the package's folder, with "/" and without "." or "..". */
  path: string;
  /** Undefined means the whole file. */
  span: ByteSpan | undefined;
  /** The bytes of `span` are a sidx box, whose segments must be inside the file too. */
  isIndex?: boolean;
}

/** The error for a package that can't be used as it is; `from` is the playlist at fault, or the folder. */
export function packageError(from: string, reason: string): OperatingError {
  return new OperatingError("package-invalid", `Cannot use ${from}: ${reason}`, { source: from });
}

/**
 * The file that `uri` in the playlist `from` names, as a path from the package's folder.
 * @throws OperatingError "package-invalid" for a name that leads out of the folder, to another host or to a hidden file.
 */
export function resolveReference(from: string, uri: string): string {
  const refuse = (reason: string) => packageError(from, `it names "${uri}", ${reason}`);
  // RFC 3986 3.1: a scheme; "//host/…" and "/…" would both leave the folder on the appliance.
  if (/^[a-z][a-z0-9+.-]*:/i.test(uri)) throw refuse("which is on another server; only files of the package can be ingested");
  if (uri.startsWith("/")) throw refuse("an absolute path; only paths relative to the playlist can be ingested");
  if (/[?#]/.test(uri)) throw refuse("which has a query or a fragment; a file can't have one");
  let decoded: string;
  try {
    decoded = decodeURIComponent(uri);
  } catch {
    throw refuse("which has a broken %-escape");
  }
  // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
  if (/[\u0000-\u001f\u007f\\]/.test(decoded)) throw refuse("which has a control character or a backslash");
  const path = posix.join(posix.dirname(from), decoded);
  if (path === ".." || path.startsWith("../") || path.startsWith("/")) throw refuse("which is outside of the package");
  if (path === "." || path.endsWith("/")) throw refuse("which is a folder");
  if (path.split("/").some((part) => part.startsWith("."))) throw refuse("a hidden file, which origins don't serve");
  return path;
}
