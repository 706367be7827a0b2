// The JSON of a request's body.
import type { z } from "zod";
import { OperatingError } from "../../runtime/operating-error.js";

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
