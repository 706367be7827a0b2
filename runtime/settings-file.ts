// Reads a YAML settings file against a zod schema, and says where in the file each mistake is.
import { readFileSync } from "node:fs";
import { isMap, isScalar, LineCounter, parseDocument, type Document } from "yaml";
import { z } from "zod";
import { parseByteSize } from "./byte-size.js";
import { parseDurationMs } from "./duration.js";
import { messageOf, OperatingError } from "./operating-error.js";

/** A settings value given as bytes or as text with a unit; becomes bytes. */
export function byteSizeSetting(): z.ZodType<number, number | string> {
  const mistake = (value: unknown) => `Expected an amount of bytes such as 64KiB or 20GiB: received ${JSON.stringify(value)}`;
  return z.union([z.number(), z.string()], { error: ({ input }) => mistake(input) }).transform((value, context) => {
    const bytes = typeof value === "number" ? value : parseByteSize(value);
    if (bytes === undefined || bytes < 1 || !Number.isSafeInteger(bytes)) {
      context.addIssue({ code: "custom", message: mistake(value) });
      return z.NEVER;
    }
    return bytes;
  });
}

/** Node's timers take no longer wait: they fire at once. */
const timerMsMax = 2 ** 31 - 1;

/** A settings value given as text with a unit of time; becomes milliseconds. At most what a timer can wait, unless it is for a calendar. */
export function durationSetting(msMax = timerMsMax): z.ZodType<number, string> {
  const mistake = (value: unknown) => `Expected a length of time such as 250ms, 10s or 12h: received ${JSON.stringify(value)}`;
  return z.string({ error: ({ input }) => mistake(input) }).transform((value, context) => {
    const ms = parseDurationMs(value);
    if (ms === undefined) {
      context.addIssue({ code: "custom", message: mistake(value) });
      return z.NEVER;
    }
    if (ms > msMax) {
      context.addIssue({
        code: "custom",
        message: `Expected at most ${Math.floor(msMax / 86_400_000)}d: received ${JSON.stringify(value)}`,
      });
      return z.NEVER;
    }
    return ms;
  });
}

/**
 * The checked and frozen settings of the YAML file at `path`.
 *
 * @throws OperatingError "settings-unreadable" or "settings-invalid"; the message has one line per mistake, each with the
 * line and column in the file.
 */
export function readSettingsFile<Schema extends z.ZodType>(path: string, schema: Schema): z.output<Schema> {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    throw new OperatingError("settings-unreadable", `Cannot read settings file ${path}: ${messageOf(error)}`, {
      source: path,
      cause: error,
    });
  }
  return parseSettings(text, path, schema);
}

/** `readSettingsFile` for text that is already here; `name` stands for the file in messages. */
export function parseSettings<Schema extends z.ZodType>(text: string, name: string, schema: Schema): z.output<Schema> {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const mistakes = document.errors.map((error) => `${at(name, lines, error.pos[0])}: ${error.message}`);
  if (mistakes.length === 0) {
    const result = schema.safeParse(document.toJS() ?? {});
    if (result.success) return deepFreeze(result.data);
    for (const issue of result.error.issues) {
      const keys = issue.code === "unrecognized_keys" ? issue.keys.map((key) => [...issue.path, key]) : [issue.path];
      for (const key of keys) {
        const what =
          issue.code === "unrecognized_keys" ? `Unknown key "${key.join(".")}"` : `${key.join(".") || "settings"}: ${issue.message}`;
        mistakes.push(`${at(name, lines, offsetOf(document, key))}: ${what}`);
      }
    }
  }
  throw new OperatingError("settings-invalid", `Cannot use settings file ${name}:\n  ${mistakes.join("\n  ")}`, { source: name });
}

function at(name: string, lines: LineCounter, offset: number): string {
  const { line, col } = lines.linePos(offset);
  return `${name}:${line}:${col}`;
}

/** Where in the text `path` stands: the key itself when it is a map's, else the nearest thing around it. */
function offsetOf(document: Document, path: readonly PropertyKey[]): number {
  for (let length = path.length; length > 0; length--) {
    const parent = document.getIn(path.slice(0, length - 1), true);
    const key = path[length - 1];
    if (isMap(parent)) {
      const pair = parent.items.find((item) => isScalar(item.key) && item.key.value === key);
      if (pair && isScalar(pair.key) && pair.key.range) return pair.key.range[0];
    }
    const node = document.getIn(path.slice(0, length), true);
    if (node && typeof node === "object" && "range" in node && Array.isArray(node.range)) return Number(node.range[0]);
  }
  return 0;
}

function deepFreeze<Value>(value: Value): Value {
  if (value !== null && typeof value === "object" && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const inner of Object.values(value)) deepFreeze(inner);
  }
  return value;
}
