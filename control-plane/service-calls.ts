// How a service's plain async function becomes a gRPC handler: errors, time limit, request id, metrics.
import { randomUUID } from "node:crypto";
import {
  status,
  type handleServerStreamingCall,
  type handleUnaryCall,
  type ServerUnaryCall,
  type ServerWritableStream,
} from "@grpc/grpc-js";
import ipaddr from "ipaddr.js";
import type { Log } from "../runtime/log.js";
import { OperatingError } from "../runtime/operating-error.js";
import { accessRuleOf, checkAccess, checkOwnAppliance } from "./access-rules.js";
import { callStatusOf } from "./call-errors.js";
import type { Authenticator, Caller } from "./caller.js";
import type { Metrics } from "./metrics.js";

/** A call without a deadline of its own, or one message of a stream, is given up after so long, so that it can't hold its place for ever. */
const callMaxMs = 10_000;

/** What is known of a call beside its request. */
export interface CallContext {
  /** From the caller's "x-request-id", or made here. */
  requestId: string;
  /** What its credentials prove; nothing where the method is for anyone and they are bad. */
  caller: Caller;
  /** The player's address, also when a gateway stands in between. */
  clientAddress: string;
  /** From the metadata "idempotency-key"; empty when there is none. */
  idempotencyKey: string;
}

export interface ServiceCallsOptions {
  log: Log;
  metrics: Metrics;
  authenticator: Pick<Authenticator, "callerOf">;
  /** Whether methods that could do without credentials ask for them (access-rules.ts). */
  authenticationRequired: boolean;
  /** Services have secrets: only who shows one is believed about the player's address. */
  forwardingNeedsSecret: boolean;
}

type Call = ServerUnaryCall<unknown, unknown> | ServerWritableStream<unknown, unknown>;

export interface ServiceCalls {
  unary<Request, Response>(
    answer: (request: Request, context: CallContext) => Promise<Response> | Response,
  ): handleUnaryCall<Request, Response>;
  /** Sends the messages one by one, waiting while the caller is slow. */
  serverStream<Request, Response>(
    answer: (request: Request, context: CallContext) => AsyncIterable<Response>,
  ): handleServerStreamingCall<Request, Response>;
}

export function makeServiceCalls(options: ServiceCallsOptions): ServiceCalls {
  const { log, metrics } = options;
  const admit = async (call: Call, requestId: string): Promise<CallContext> => {
    const text = (key: string) => textOf(call, key);
    const path = call.getPath();
    const caller = await options.authenticator
      .callerOf({ authorization: text("authorization"), serviceSecret: text("x-service-secret") })
      .catch((error: unknown): Caller => {
        // An access token that has just expired must not be in the way of getting a new one.
        if (error instanceof OperatingError && accessRuleOf(path)?.allow.includes("anyone")) return {};
        throw error;
      });
    checkAccess(path, caller, { required: options.authenticationRequired });
    checkOwnAppliance(caller, "request" in call ? call.request : undefined);
    const isBelieved = caller.service !== undefined || !options.forwardingNeedsSecret;
    const forwarded = isBelieved ? text("x-client-address") : "";
    return {
      requestId,
      caller,
      clientAddress: ipaddr.isValid(forwarded) ? forwarded : peerAddressOf(call),
      idempotencyKey: text("idempotency-key"),
    };
  };
  const start = (call: Call) => {
    const requestId = requestIdOf(call);
    const method = call.getPath().slice(1);
    const stopTimer = metrics.callSeconds.startTimer({ method });
    return {
      admit: () => admit(call, requestId),
      end: (code: status) => {
        stopTimer();
        metrics.calls.inc({ method, status: status[code] });
      },
      fail: (error: unknown) => {
        const answer = callStatusOf(error);
        if (answer.code === status.INTERNAL) log.error({ err: error, method, requestId }, "call failed");
        return answer;
      },
    };
  };
  return {
    unary: (answer) => (call, callback) => {
      const { admit, end, fail } = start(call);
      withTimeLimit(call, async () => answer(call.request, await admit())).then(
        (response) => {
          end(call.cancelled ? status.CANCELLED : status.OK);
          callback(null, response);
        },
        (error: unknown) => {
          const failure = fail(error);
          end(failure.code);
          callback(failure);
        },
      );
    },
    serverStream: (answer) => (call) => {
      const { admit, end, fail } = start(call);
      const send = async () => {
        const context = await withTimeLimit(call, admit);
        const messages = answer(call.request, context)[Symbol.asyncIterator]();
        try {
          // The limit is each message's: a long answer to a slow caller is no call that hangs.
          for (;;) {
            const { done, value } = await withTimeLimit(call, () => messages.next());
            if (done || call.cancelled) return;
            if (!call.write(value)) await withTimeLimit(call, () => drained(call));
          }
        } finally {
          void messages.return?.();
        }
      };
      send().then(
        () => {
          end(call.cancelled ? status.CANCELLED : status.OK);
          call.end();
        },
        (error: unknown) => {
          const failure = fail(error);
          end(failure.code);
          call.emit("error", failure);
        },
      );
    },
  };
}

function requestIdOf(call: ServerUnaryCall<unknown, unknown> | ServerWritableStream<unknown, unknown>): string {
  const sent = call.metadata.get("x-request-id")[0];
  return typeof sent === "string" && /^[\w-]{1,64}$/.test(sent) ? sent : randomUUID();
}

/** The first value of a key of the metadata; empty when there is none. */
function textOf(call: Call, key: string): string {
  const value = call.metadata.get(key)[0];
  return typeof value === "string" ? value : "";
}

/** "10.0.0.1" of "10.0.0.1:5000", "2001:db8::1" of "[2001:db8::1]:5000"; "0.0.0.0" of anything else. */
function peerAddressOf(call: Call): string {
  const host = /^(?:ipv[46]:)?\[?(.*?)\]?:\d+$/.exec(call.getPeer())?.[1] ?? "";
  return ipaddr.isValid(host) ? ipaddr.process(host).toString() : "0.0.0.0";
}

/** The caller's deadline, or the longest that a call may take. Who is late already is not worked for. */
async function withTimeLimit<Value>(call: Call, work: () => Promise<Value>): Promise<Value> {
  const deadlineUnixMs = Number(call.getDeadline());
  const limitMs = Math.min(callMaxMs, deadlineUnixMs - Date.now());
  if (limitMs <= 0) throw new OperatingError("call-too-long", "Cannot answer: the deadline has passed", { retryable: true });
  let timer: NodeJS.Timeout | undefined;
  const tooLong = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () =>
        reject(new OperatingError("call-too-long", `Cannot answer: it took longer than ${Math.round(limitMs)} ms`, { retryable: true })),
      limitMs,
    );
  });
  try {
    return await Promise.race([work(), tooLong]);
  } finally {
    clearTimeout(timer);
  }
}

/** Resolves when more can be written, also when the caller has gone. */
function drained(call: ServerWritableStream<unknown, unknown>): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      call.off("drain", done).off("cancelled", done).off("close", done);
      resolve();
    };
    call.on("drain", done).on("cancelled", done).on("close", done);
  });
}
