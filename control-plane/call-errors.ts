// The one place where our errors become gRPC statuses, and gRPC statuses become our errors again.
import { Metadata, status, type ServiceError, type StatusObject } from "@grpc/grpc-js";
import { messageOf, OperatingError } from "../runtime/operating-error.js";
import { ErrorInfo } from "./protocol/generated/google/rpc/error_details.js";
import { Status } from "./protocol/generated/google/rpc/status.js";
import { storeErrorOf } from "./store/store-error.js";

/** The code of an operating error → the gRPC status that tells the caller what to do about it. */
const statusOfCode: Readonly<Record<string, status>> = {
  "invalid-argument": status.INVALID_ARGUMENT,
  "page-token-invalid": status.INVALID_ARGUMENT,
  unauthenticated: status.UNAUTHENTICATED,
  "access-token-invalid": status.UNAUTHENTICATED,
  "access-token-expired": status.UNAUTHENTICATED,
  "refresh-token-invalid": status.UNAUTHENTICATED,
  "refresh-token-reused": status.UNAUTHENTICATED,
  "session-ended": status.UNAUTHENTICATED,
  "credentials-wrong": status.UNAUTHENTICATED,
  forbidden: status.PERMISSION_DENIED,
  "account-disabled": status.PERMISSION_DENIED,
  "account-locked": status.RESOURCE_EXHAUSTED,
  "rate-limited": status.RESOURCE_EXHAUSTED,
  "login-busy": status.UNAVAILABLE,
  "email-token-invalid": status.FAILED_PRECONDITION,
  "device-limit-reached": status.FAILED_PRECONDITION,
  "profile-limit-reached": status.FAILED_PRECONDITION,
  "profile-last": status.FAILED_PRECONDITION,
  "account-unknown": status.NOT_FOUND,
  "device-unknown": status.NOT_FOUND,
  "profile-unknown": status.NOT_FOUND,
  "title-unknown": status.NOT_FOUND,
  "object-unknown": status.NOT_FOUND,
  "appliance-unknown": status.NOT_FOUND,
  "steering-session-unknown": status.NOT_FOUND,
  "maintenance-unknown": status.NOT_FOUND,
  "boot-unknown": status.FAILED_PRECONDITION,
  "boot-superseded": status.FAILED_PRECONDITION,
  "lease-unknown": status.FAILED_PRECONDITION,
  "holdings-gap": status.FAILED_PRECONDITION,
  "title-unplayable": status.FAILED_PRECONDITION,
  "title-kind-fixed": status.FAILED_PRECONDITION,
  "parent-unknown": status.FAILED_PRECONDITION,
  "search-loading": status.UNAVAILABLE,
  "title-not-in-country": status.PERMISSION_DENIED,
  "title-country-unknown": status.PERMISSION_DENIED,
  "title-over-age": status.PERMISSION_DENIED,
  "title-not-yet": status.FAILED_PRECONDITION,
  "title-no-longer": status.FAILED_PRECONDITION,
  "no-encode-playable": status.FAILED_PRECONDITION,
  "too-many-revoked": status.RESOURCE_EXHAUSTED,
  "no-token-key": status.UNAVAILABLE,
  "title-not-live": status.FAILED_PRECONDITION,
  "billing-account-unknown": status.NOT_FOUND,
  "invoice-unknown": status.NOT_FOUND,
  "plan-unknown": status.NOT_FOUND,
  "subscription-unknown": status.NOT_FOUND,
  "payment-declined": status.FAILED_PRECONDITION,
  "payment-method-missing": status.FAILED_PRECONDITION,
  "subscription-missing": status.FAILED_PRECONDITION,
  "subscription-unpaid": status.FAILED_PRECONDITION,
  "subscription-paused": status.FAILED_PRECONDITION,
  "streams-taken": status.RESOURCE_EXHAUSTED,
  "webhook-refused": status.UNAUTHENTICATED,
  "account-in-use": status.FAILED_PRECONDITION,
  "coupon-refused": status.FAILED_PRECONDITION,
  "invoice-open": status.FAILED_PRECONDITION,
  "plan-same": status.FAILED_PRECONDITION,
  "refund-refused": status.FAILED_PRECONDITION,
  "subscription-exists": status.ALREADY_EXISTS,
  "subscription-state": status.FAILED_PRECONDITION,
  "payment-provider-away": status.UNAVAILABLE,
  "billing-off": status.UNAVAILABLE,
  "fleet-full": status.RESOURCE_EXHAUSTED,
  "holdings-full": status.RESOURCE_EXHAUSTED,
  "no-appliance-live": status.UNAVAILABLE,
  "idempotency-key-invalid": status.INVALID_ARGUMENT,
  "idempotency-key-reused": status.ALREADY_EXISTS,
  "store-unavailable": status.UNAVAILABLE,
  "shared-state-unavailable": status.UNAVAILABLE,
  "call-too-long": status.DEADLINE_EXCEEDED,
};

const detailsKey = "grpc-status-details-bin";
const errorInfoType = "type.googleapis.com/google.rpc.ErrorInfo";
const domain = "millrace";

/** What to answer a call with that failed by `error`. An error that is not an operating one is not described to the caller. */
export function callStatusOf(error: unknown): Partial<StatusObject> & { code: status } {
  const known = error instanceof OperatingError ? error : storeErrorOf(error);
  if (!known) return { code: status.INTERNAL, details: "Cannot answer: internal error, see the control plane's log" };
  const code = statusOfCode[known.code] ?? status.INTERNAL;
  const info: ErrorInfo = { reason: known.code, domain, metadata: { retryable: String(known.retryable) } };
  if (known.retryAfterMs !== undefined) info.metadata["retryAfterMs"] = String(known.retryAfterMs);
  if (known.source !== undefined) info.metadata["source"] = known.source;
  const metadata = new Metadata();
  const detail = { typeUrl: errorInfoType, value: Buffer.from(ErrorInfo.encode(info).finish()) };
  metadata.set(detailsKey, Buffer.from(Status.encode({ code, message: known.message, details: [detail] }).finish()));
  return { code, details: known.message, metadata };
}

/**
 * The operating error behind a failed call. Codes: that of the control plane's own error where it sent one;
 * "control-plane-away" when it could not be reached or did not answer in time; "control-plane-failed" for all else.
 */
export function operatingErrorOf(error: ServiceError, url: string): OperatingError {
  const info = errorInfoOf(error);
  if (info) {
    const retryAfterMs = Number(info.metadata["retryAfterMs"]);
    return new OperatingError(info.reason, error.details || messageOf(error), {
      source: info.metadata["source"] ?? url,
      retryable: info.metadata["retryable"] === "true",
      ...(Number.isFinite(retryAfterMs) && { retryAfterMs }),
      cause: error,
    });
  }
  if (error.code === status.UNAVAILABLE || error.code === status.DEADLINE_EXCEEDED) {
    const why = error.code === status.UNAVAILABLE ? "it cannot be reached" : "it did not answer in time";
    return new OperatingError("control-plane-away", `Cannot ask the control plane at ${url}: ${why}`, {
      source: url,
      retryable: true,
      cause: error,
    });
  }
  return new OperatingError("control-plane-failed", `Cannot ask the control plane at ${url}: ${error.details || messageOf(error)}`, {
    source: url,
    cause: error,
  });
}

function errorInfoOf(error: ServiceError): ErrorInfo | undefined {
  const bytes = error.metadata?.get(detailsKey)[0];
  if (!Buffer.isBuffer(bytes)) return undefined;
  try {
    const detail = Status.decode(bytes).details.find(({ typeUrl }) => typeUrl === errorInfoType);
    const info = detail && ErrorInfo.decode(detail.value);
    return info?.domain === domain ? info : undefined;
  } catch {
    return undefined; // Written by something else in between, such as a proxy.
  }
}
