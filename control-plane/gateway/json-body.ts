// JSON in and out of the gateway's routes.
import type { z } from "zod";
import { OperatingError } from "../../runtime/operating-error.js";
import type { RouteAnswer } from "./http-app.js";

/** The body as `schema` has it. @throws OperatingError "json-malformed" or "body-malformed". */
export function parseJsonBody<Schema extends z.ZodType>(body: Buffer, schema: Schema): z.output<Schema> {
  let parsed: unknown;
  try {
    parsed = JSON.parse(body.toString("utf8"));
  } catch (error) {
    throw new OperatingError("json-malformed", "Cannot read the body: it is not JSON", { cause: error });
  }
  const result = schema.safeParse(parsed);
  if (result.success) return result.data;
  const mistakes = result.error.issues.map(({ path, message }) => `${path.join(".") || "body"}: ${message}`);
  throw new OperatingError("body-malformed", `Cannot read the body: ${mistakes.join("; ")}`);
}

export function jsonAnswer(value: unknown): RouteAnswer {
  return { status: 200, headers: { "Content-Type": "application/json", "Cache-Control": "no-store" }, body: JSON.stringify(value) };
}
