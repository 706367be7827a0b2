// One GET over a real socket, read no faster than the player's line allows.
import { type Agent as HttpAgent, type ClientRequest, type IncomingMessage, request as httpRequest } from "node:http";
import { type Agent as HttpsAgent, request as httpsRequest } from "node:https";
import { errnoOf } from "../../runtime/operating-error.js";
import type { ErrorKind } from "../report/bench-result.js";
import type { MediaPiece } from "./media-range.js";
import type { PlaybackClock } from "./playback-clock.js";
import type { ShapedLink } from "./shaped-link.js";

export interface ShapedGetOptions {
  url: URL;
  range: MediaPiece["range"];
  link: ShapedLink;
  clock: PlaybackClock;
  agent: HttpAgent | HttpsAgent;
  /** Real milliseconds that the server may let pass without a byte while the line has room. */
  serverTimeoutMs: number;
  /** Keep the body when it has at most this many bytes; 0 throws every byte away. */
  keepMaxBytes: number;
  signal: AbortSignal;
}

export type ShapedAnswer =
  | {
      ok: true;
      /** Of the body. */
      bytes: number;
      body: Buffer;
      /** Of the whole file, where the answer says it. */
      fileBytes: number | undefined;
      /** Playback seconds from the request to the last byte. */
      seconds: number;
    }
  | { ok: false; kind: ErrorKind; bytes: number };

/** Never rejects: what went wrong is in the answer. Aborted by the signal, it answers "reset". */
export async function getShaped(options: ShapedGetOptions): Promise<ShapedAnswer> {
  const first = await getOnce(options);
  // A server may close an idle connection while the request is on its way: a browser sends it again on a new connection, and so does this.
  return first === "stale-connection" ? asAnswer(await getOnce(options)) : first;
}

function asAnswer(answer: ShapedAnswer | "stale-connection"): ShapedAnswer {
  return answer === "stale-connection" ? { ok: false, kind: "reset", bytes: 0 } : answer;
}

function getOnce(options: ShapedGetOptions): Promise<ShapedAnswer | "stale-connection"> {
  const { url, range, link, clock, agent, keepMaxBytes, signal } = options;
  return new Promise((resolve) => {
    const startedSeconds = clock.nowSeconds();
    link.leaveIdle(startedSeconds);
    let response: IncomingMessage | undefined;
    let expectedBytes: number | undefined;
    let fileBytes: number | undefined;
    let received = 0;
    let receivedAtTick = 0;
    let progressMs = clock.wallMs();
    const kept: Buffer[] = [];
    let settled = false;

    const headers: Record<string, string> = { "accept-encoding": "identity" };
    if (range) headers["range"] = `bytes=${range.firstByte}-${range.firstByte + range.bytes - 1}`;
    const request: ClientRequest = (url.protocol === "https:" ? httpsRequest : httpRequest)(url, { agent: agent as HttpsAgent, headers });
    const leaveTicks = clock.onTick(onTick);
    signal.addEventListener("abort", onAbort);
    request.on("error", (error) => {
      const stale = request.reusedSocket && response === undefined && ["ECONNRESET", "EPIPE"].includes(errnoOf(error) ?? "");
      settle(stale ? "stale-connection" : { ok: false, kind: kindOfError(error), bytes: received });
    });
    request.on("response", onResponse);
    request.end();
    if (signal.aborted) onAbort();

    function settle(answer: ShapedAnswer | "stale-connection"): void {
      if (settled) return;
      settled = true;
      leaveTicks();
      signal.removeEventListener("abort", onAbort);
      link.leaveIdle(clock.nowSeconds());
      if (answer === "stale-connection" || !answer.ok) request.destroy();
      resolve(answer);
    }

    function fail(kind: ErrorKind): void {
      settle({ ok: false, kind, bytes: received });
    }

    function onAbort(): void {
      fail("reset");
    }

    function onResponse(incoming: IncomingMessage): void {
      response = incoming;
      progressMs = clock.wallMs();
      const status = incoming.statusCode ?? 0;
      if (status !== 200 && status !== 206) return fail(`status-${status}`);
      const length = incoming.headers["content-length"];
      expectedBytes = length === undefined ? undefined : Number(length);
      fileBytes = status === 200 ? expectedBytes : undefined;
      if (range) {
        const match = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(incoming.headers["content-range"] ?? "");
        const last = range.firstByte + range.bytes - 1;
        if (status !== 206 || !match || Number(match[1]) !== range.firstByte || Number(match[2]) !== last) return fail("wrong-range");
        if (expectedBytes !== undefined && expectedBytes !== range.bytes) return fail("wrong-length");
        expectedBytes = range.bytes;
        fileBytes = match[3] === "*" ? undefined : Number(match[3]);
      }
      incoming.on("readable", pump);
      incoming.on("end", () => {
        if (expectedBytes !== undefined && received !== expectedBytes) return fail("short-body");
        settle({ ok: true, bytes: received, body: Buffer.concat(kept), fileBytes, seconds: clock.nowSeconds() - startedSeconds });
      });
      incoming.on("error", () => fail(received > 0 ? "short-body" : "reset"));
      incoming.on("close", () => fail("short-body"));
    }

    /** Reads what the socket has, as far as the line allows. */
    function pump(): void {
      for (;;) {
        if (settled || !response) return;
        const waiting = response.readableLength;
        if (waiting === 0) {
          // Lets the stream fetch more, or end.
          response.read(0);
          return;
        }
        const allowed = link.availableBytes(clock.nowSeconds());
        if (allowed < 1) return;
        const bytes = response.read(Math.min(waiting, allowed)) as Buffer | null;
        if (bytes === null) return;
        link.take(bytes.length);
        received += bytes.length;
        progressMs = clock.wallMs();
        if (received <= keepMaxBytes) kept.push(bytes);
        else if (keepMaxBytes > 0) return fail("wrong-length");
      }
    }

    function onTick(): void {
      const idle = received === receivedAtTick && (response?.readableLength ?? 0) === 0;
      receivedAtTick = received;
      // A whole tick without data: it is the server that the player waits for, and the line's tokens are not saved up meanwhile.
      if (idle) link.leaveIdle(clock.nowSeconds());
      if (link.availableBytes(clock.nowSeconds()) < 1) progressMs = clock.wallMs();
      else if (clock.wallMs() - progressMs > options.serverTimeoutMs) return fail("timeout");
      pump();
    }
  });
}

const certificateCodes = /CERT|SELF_SIGNED|UNABLE_TO_VERIFY|ALTNAME/;

function kindOfError(error: Error): ErrorKind {
  const code = errnoOf(error) ?? "";
  if (code === "ECONNREFUSED") return "refused";
  if (code === "ECONNRESET" || code === "EPIPE") return "reset";
  if (["ENOTFOUND", "EAI_AGAIN", "EHOSTUNREACH", "ENETUNREACH", "ETIMEDOUT"].includes(code)) return "unreachable";
  if (certificateCodes.test(code)) return "bad-certificate";
  if (code.startsWith("HPE_")) return "bad-framing";
  return code.startsWith("ERR_SSL") || code === "EPROTO" ? "tls-failed" : "reset";
}
