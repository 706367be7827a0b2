// How the gateway says that it can't: error codes, their HTTP statuses, the JSON they come in.
import { OperatingError } from "../../runtime/operating-error.js";
import type { RouteAnswer } from "./http-app.js";

/** A request that is refused. */
interface HttpFailure {
  status: number;
  code: string;
  message: string;
  /** For the header Retry-After. */
  retryAfterMs?: number;
}

/** The codes of the gateway itself and of the control plane. A code that is not here is answered with 500. */
const statusOfCode: Readonly<Record<string, number>> = {
  "invalid-argument": 400,
  "page-token-invalid": 400,
  "json-malformed": 400,
  "body-malformed": 400,
  unauthenticated: 401,
  "access-token-invalid": 401,
  "access-token-expired": 401,
  "refresh-token-invalid": 401,
  "refresh-token-reused": 401,
  "session-ended": 401,
  "credentials-wrong": 401,
  forbidden: 403,
  "account-disabled": 403,
  "not-found": 404,
  "account-unknown": 404,
  "device-unknown": 404,
  "profile-unknown": 404,
  "title-unknown": 404,
  "page-missing": 404,
  "method-not-allowed": 405,
  "body-too-slow": 408,
  "title-unplayable": 409,
  "title-kind-fixed": 409,
  "parent-unknown": 409,
  "search-loading": 503,
  // RFC 7725: for legal reasons.
  "title-not-in-country": 451,
  "title-country-unknown": 451,
  "title-over-age": 403,
  "title-not-yet": 403,
  "title-no-longer": 410,
  "no-encode-playable": 409,
  "steering-session-unknown": 404,
  "email-token-invalid": 409,
  "device-limit-reached": 409,
  "profile-limit-reached": 409,
  "profile-last": 409,
  "billing-account-unknown": 404,
  "invoice-unknown": 404,
  "plan-unknown": 404,
  "subscription-unknown": 404,
  "payment-declined": 402,
  "payment-method-missing": 402,
  "subscription-missing": 402,
  "subscription-unpaid": 402,
  "subscription-paused": 403,
  "streams-taken": 403,
  "webhook-refused": 400,
  "account-in-use": 409,
  "coupon-refused": 409,
  "invoice-open": 409,
  "plan-same": 409,
  "refund-refused": 409,
  "subscription-exists": 409,
  "subscription-state": 409,
  "payment-provider-away": 503,
  "billing-off": 503,
  "body-too-large": 413,
  "account-locked": 429,
  "rate-limited": 429,
  "number-too-large": 500,
  "control-plane-failed": 502,
  "no-appliance-live": 503,
  "idempotency-key-invalid": 400,
  "idempotency-key-reused": 409,
  "store-unavailable": 503,
  "shared-state-unavailable": 503,
  "control-plane-away": 503,
  "gateway-busy": 503,
  "login-busy": 503,
  "call-too-long": 504,
};

/** The answer to a request that failed by `error`. An error that is not an operating one is not described to the client. */
export function failureAnswer(error: unknown): RouteAnswer & { headers: Record<string, string> } {
  const { status, code, message, retryAfterMs } = httpFailureOf(error) ?? {
    status: 500,
    code: "internal",
    message: "Cannot answer: see the gateway's log",
  };
  const headers: Record<string, string> = { "Content-Type": "application/json", "Cache-Control": "no-store" };
  if (status === 503) headers["Retry-After"] = "1";
  if (retryAfterMs !== undefined) headers["Retry-After"] = String(Math.max(1, Math.ceil(retryAfterMs / 1000)));
  // RFC 9110 15.5.2: a 401 names what it wants.
  if (status === 401) headers["WWW-Authenticate"] = 'Bearer realm="millrace"';
  return { status, headers, body: JSON.stringify({ error: { code, message } }) };
}

function httpFailureOf(error: unknown): HttpFailure | undefined {
  if (!(error instanceof OperatingError)) return undefined;
  return {
    status: statusOfCode[error.code] ?? 500,
    code: error.code,
    message: error.message,
    ...(error.retryAfterMs !== undefined && { retryAfterMs: error.retryAfterMs }),
  };
}
