// One request of a recorded trace.

export interface TraceRequest {
  /** Since an origin of the trace's own choosing. */
  timeSeconds: number;
  /** As it stands in the trace; 64-bit numbers in decimal. */
  objectId: string;
  /** As recorded; may be 0, and may differ between requests for one object. */
  sizeBytes: number;
}

/** Turns the bytes of a trace into requests, in pieces of any length. */
export interface TraceParser {
  /** The requests that end in `bytes`. Throws OperatingError "trace-malformed". */
  push(bytes: Buffer): TraceRequest[];
  /** The requests left at the end of the trace. Throws where it ends inside one. */
  end(): TraceRequest[];
}
