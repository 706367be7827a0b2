// How a service's plain async function becomes a gRPC handler: errors, time limit, request id, metrics.
import { randomUUID } from "node:crypto";
import {
  status,
  type handleServerStreamingCall,
  type handleUnaryCall,
  type ServerUnaryCall,
  type ServerWritableStream,
} from "@grpc/grpc-js";
import type { Log } from "../runtime/log.js";
import { OperatingError } from "../runtime/operating-error.js";
import { callStatusOf } from "./call-errors.js";
import type { Metrics } from "./metrics.js";

/** A call without a deadline of its own, or one message of a stream, is given up after so long, so that it can't hold its place for ever. */
const callMaxMs = 10_000;

/** What is known of a call beside its request. */
interface CallContext {
  /** From the caller's "x-request-id", or made here. */
  requestId: string;
}

export interface ServiceCalls {
  unary<Request, Response>(
    answer: (request: Request, context: CallContext) => Promise<Response> | Response,
  ): handleUnaryCall<Request, Response>;
  /** Sends the messages one by one, waiting while the caller is slow. */
  serverStream<Request, Response>(
    answer: (request: Request, context: CallContext) => AsyncIterable<Response>,
  ): handleServerStreamingCall<Request, Response>;
}

export function makeServiceCalls({ log, metrics }: { log: Log; metrics: Metrics }): ServiceCalls {
  const start = (call: ServerUnaryCall<unknown, unknown> | ServerWritableStream<unknown, unknown>) => {
    const context: CallContext = { requestId: requestIdOf(call) };
    const method = call.getPath().slice(1);
    const stopTimer = metrics.callSeconds.startTimer({ method });
    return {
      context,
      end: (code: status) => {
        stopTimer();
        metrics.calls.inc({ method, status: status[code] });
      },
      fail: (error: unknown) => {
        const answer = callStatusOf(error);
        if (answer.code === status.INTERNAL) log.error({ err: error, method, requestId: context.requestId }, "call failed");
        return answer;
      },
    };
  };
  return {
    unary: (answer) => (call, callback) => {
      const { context, end, fail } = start(call);
      withTimeLimit(async () => answer(call.request, context)).then(
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
      const { context, end, fail } = start(call);
      const send = async () => {
        const messages = answer(call.request, context)[Symbol.asyncIterator]();
        try {
          // The limit is each message's: a long answer to a slow caller is no call that hangs.
          for (;;) {
            const { done, value } = await withTimeLimit(() => messages.next());
            if (done || call.cancelled) return;
            if (!call.write(value)) await withTimeLimit(() => drained(call));
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

async function withTimeLimit<Value>(work: () => Promise<Value>): Promise<Value> {
  let timer: NodeJS.Timeout | undefined;
  const tooLong = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new OperatingError("call-too-long", `Cannot answer: it took longer than ${callMaxMs} ms`, { retryable: true })),
      callMaxMs,
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
