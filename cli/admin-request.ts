// Talks to the admin port of an appliance that runs on this machine.
import { messageOf, OperatingError } from "../runtime/operating-error.js";

export const defaultAdminUrl = "http://127.0.0.1:8081/";

/** @throws OperatingError with the appliance's own code and words when it refuses, "appliance-away" when it does not answer. */
export async function askAppliance<Answer>(adminUrl: string, path: string, body?: unknown): Promise<Answer> {
  let response: Response;
  try {
    response = await fetch(new URL(path, adminUrl), {
      ...(body !== undefined && { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) }),
    });
  } catch (error) {
    const cause = error instanceof Error && error.cause ? messageOf(error.cause) : messageOf(error);
    throw new OperatingError("appliance-away", `Cannot reach the appliance at ${adminUrl}: ${cause}`, { source: adminUrl, cause: error });
  }
  const text = await response.text();
  if (response.ok) return JSON.parse(text) as Answer;
  let refusal: { error?: { code: string; message: string } } = {};
  try {
    refusal = JSON.parse(text) as typeof refusal;
  } catch {
    // Not one of ours.
  }
  throw new OperatingError(
    refusal.error?.code ?? "appliance-away",
    refusal.error?.message ?? `Cannot ask the appliance at ${adminUrl}: it answered ${response.status}`,
    { source: adminUrl },
  );
}
