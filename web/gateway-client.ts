// Asks the gateway, and puts what goes wrong into words.
import type { Fleet, GatewayState, Playback, TitlesPage } from "./gateway-answers.js";

/** The gateway is away, or said no. The message is a sentence for the person at the page. */
export class GatewayError extends Error {
  /** HTTP status; 0 when there was no answer. */
  readonly status: number;

  constructor(message: string, status: number) {
    super(message);
    this.name = "GatewayError";
    this.status = status;
  }
}

/** Long enough for a control plane that must first open a connection, short enough that a person still waits. */
const gatewayTimeoutMs = 5_000;

/** @throws GatewayError */
export async function fetchTitles(pageToken: string): Promise<TitlesPage> {
  const page = await askGateway<TitlesPage>(`/api/titles${pageToken ? `?pageToken=${encodeURIComponent(pageToken)}` : ""}`);
  if (!Array.isArray(page.titles)) throw new GatewayError("The gateway's list of titles cannot be read.", 200);
  return page;
}

/** @throws GatewayError */
export async function requestPlayback(titleId: string): Promise<Playback> {
  const playback = await askGateway<Playback>("/api/playback", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ titleId }),
  });
  if (!Array.isArray(playback.urls)) throw new GatewayError("The gateway's list of appliances cannot be read.", 200);
  return playback;
}

/** @throws GatewayError */
export async function fetchFleet(): Promise<Fleet> {
  const fleet = await askGateway<Fleet>("/api/fleet");
  if (!Array.isArray(fleet.appliances)) throw new GatewayError("The gateway's view of the fleet cannot be read.", 200);
  return fleet;
}

/** @throws GatewayError */
export async function fetchGatewayState(): Promise<GatewayState> {
  const state = await askGateway<GatewayState>("/api/gateway");
  if (!Array.isArray(state.services)) throw new GatewayError("The gateway's view of itself cannot be read.", 200);
  return state;
}

async function askGateway<Answer>(path: string, init: RequestInit = {}): Promise<Answer> {
  let response: Response;
  let body: unknown;
  try {
    response = await fetch(path, { ...init, cache: "no-store", signal: AbortSignal.timeout(gatewayTimeoutMs) });
    body = await response.json().catch((error: unknown) => {
      if (error instanceof SyntaxError) return undefined;
      throw error;
    });
  } catch (error) {
    const late = error instanceof DOMException && error.name === "TimeoutError";
    throw new GatewayError(late ? `The gateway did not answer within ${gatewayTimeoutMs / 1000} s.` : "The gateway does not answer.", 0);
  }
  if (!response.ok) throw new GatewayError(errorMessage(body) ?? `The gateway answered ${response.status}.`, response.status);
  if (typeof body !== "object" || body === null) throw new GatewayError("The gateway's answer is not JSON.", response.status);
  return body as Answer;
}

function errorMessage(body: unknown): string | undefined {
  const message = (body as { error?: { message?: unknown } } | undefined)?.error?.message;
  return typeof message === "string" && message !== "" ? message : undefined;
}
