// Makes the files that servers under test serve, and knows them again by the catalog that lies beside them.
import { mkdir, open, readFile, rename, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { messageOf, OperatingError } from "../../runtime/operating-error.js";
import type { CatalogObject } from "../load/load-plan.js";
import { fillWithContent } from "../load/offset-content.js";

export const catalogName = "catalog.json";
/** Names the content function (offset-content.ts) in catalogs; another function gets another name. */
const contentName = "millrace-offset-1";
/** Written at a time. */
const writeBytes = 4 * 2 ** 20;
/** A catalog larger than this is not read from a server. */
const catalogMaxObjects = 2_000_000;

export function generatedObjects(count: number, bytes: number): CatalogObject[] {
  return Array.from({ length: count }, (_, number) => ({ name: objectName(number), bytes, contentNumber: number }));
}

/** The name of generated object `number`. */
export function objectName(number: number): string {
  return `object-${String(number).padStart(6, "0")}.bin`;
}

/** Writes generated objects and their catalog into `folder`; files that are there with the right length are kept. */
export async function writeObjectFiles(folder: string, objects: readonly CatalogObject[]): Promise<void> {
  await mkdir(folder, { recursive: true });
  const block = Buffer.allocUnsafe(writeBytes);
  for (const { name, bytes, contentNumber } of objects) {
    const path = join(folder, name);
    if ((await lengthOf(path)) === bytes) continue;
    const file = await open(`${path}.part`, "w");
    try {
      for (let offset = 0; offset < bytes; offset += block.length) {
        const piece = block.subarray(0, Math.min(block.length, bytes - offset));
        fillWithContent(piece, contentNumber ?? 0, offset);
        await file.write(piece);
      }
    } finally {
      await file.close();
    }
    await rename(`${path}.part`, path);
  }
  await writeFile(join(folder, catalogName), catalogText(objects));
}

async function lengthOf(path: string): Promise<number> {
  try {
    return (await stat(path)).size;
  } catch {
    return -1;
  }
}

function catalogText(objects: readonly CatalogObject[]): string {
  const lines = objects.map(({ name, bytes, contentNumber }) => `  ${JSON.stringify({ name, bytes, contentNumber })}`);
  return `{ "content": "${contentName}", "objects": [\n${lines.join(",\n")}\n] }\n`;
}

/**
 * The objects of a catalog: {"content": NAME, "objects": [{"name", "bytes", "contentNumber"?}]}. Without "contentNumber", or with a content
 * function that is not ours, bodies can't be verified. @throws OperatingError "bad-catalog".
 */
export function parseCatalog(text: string, source: string): CatalogObject[] {
  const fail = (reason: string): never => {
    throw new OperatingError("bad-catalog", `Cannot use catalog ${source}: ${reason}`, { source });
  };
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    fail(messageOf(error));
  }
  const { content, objects } = (value ?? {}) as { content?: unknown; objects?: unknown };
  if (!Array.isArray(objects) || objects.length === 0) fail('it has no "objects"');
  const entries = objects as { name?: unknown; bytes?: unknown; contentNumber?: unknown }[];
  if (entries.length > catalogMaxObjects) fail(`it has more than ${catalogMaxObjects} objects`);
  return entries.map(({ name, bytes, contentNumber }, index) => {
    if (typeof name !== "string" || !/^[\w\-./~%+@=,]+$/.test(name)) return fail(`object ${index} has no name that can stand in a URL`);
    if (typeof bytes !== "number" || !Number.isSafeInteger(bytes) || bytes < 1) return fail(`object ${index} has no "bytes"`);
    const known = content === contentName && typeof contentNumber === "number" && Number.isSafeInteger(contentNumber) && contentNumber >= 0;
    return { name: name.replace(/^\//, ""), bytes, contentNumber: known ? contentNumber : null };
  });
}

export async function readCatalogFile(path: string): Promise<CatalogObject[]> {
  try {
    return parseCatalog(await readFile(path, "utf8"), path);
  } catch (error) {
    if (error instanceof OperatingError) throw error;
    throw new OperatingError("bad-catalog", `Cannot read catalog ${path}: ${messageOf(error)}`, { source: path, cause: error });
  }
}
