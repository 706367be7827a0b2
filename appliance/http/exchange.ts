// One request and its answer: what is read of the first, and how far the second is.
import type { HttpRequest, HttpResponse } from "uWebSockets.js";
import { parseVia, viaHeader } from "../../fill-protocol/via-header.js";
import type { RequestHeaders } from "../serve/decide-response.js";
import type { PaceOptions } from "../serve/pacer.js";
import type { BodySender } from "./body-sender.js";

/** The one object that the program makes for every request; the headers are read into it while they are still there. */
export class Exchange implements RequestHeaders {
  readonly response: HttpResponse;
  readonly method: "GET" | "HEAD";
  /** The path of the object, without a token. */
  readonly path: string;
  readonly range: string;
  readonly ifMatch: string;
  readonly ifNoneMatch: string;
  readonly ifModifiedSince: string;
  readonly ifUnmodifiedSince: string;
  readonly ifRange: string;
  /** Ids of the appliances that the request has come through; none of them for a player's. */
  readonly via: readonly string[];
  /** It will be finished after its handler has returned, so it is counted as under way and told when the client leaves. */
  watched = false;
  aborted = false;
  /** Nothing was known of the object before it was asked for. */
  wasUnknown = false;
  /** Where the limiter counts its client; -1: nowhere. */
  readonly place: number;
  /** Undefined: it is sent as fast as the socket takes it. */
  pace: PaceOptions | undefined;
  /** By performance.now(); undefined where nobody wants to know. */
  startedMs: number | undefined;
  sender: BodySender | undefined;
  /** Why the player was not sent to a better appliance, as its token says. */
  divertedBy: "C" | "H" | undefined;
  /** Ends the wait for the first chunk. */
  leave: (() => void) | undefined;

  constructor(
    response: HttpResponse,
    request: HttpRequest,
    { method, path, place }: { method: "GET" | "HEAD"; path: string; place: number },
  ) {
    this.response = response;
    this.method = method;
    this.path = path;
    this.place = place;
    this.range = request.getHeader("range");
    this.ifMatch = request.getHeader("if-match");
    this.ifNoneMatch = request.getHeader("if-none-match");
    this.ifModifiedSince = request.getHeader("if-modified-since");
    this.ifUnmodifiedSince = request.getHeader("if-unmodified-since");
    this.ifRange = this.range === "" ? "" : request.getHeader("if-range");
    this.via = parseVia(request.getHeader(viaHeader));
  }
}
