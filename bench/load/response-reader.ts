// Reads HTTP/1.1 responses from a connection's bytes: heads are parsed, bodies are only counted and pointed at, never copied.

/** A head longer than this is taken for nonsense: servers here answer with a few hundred bytes. */
const headMaxBytes = 32 * 1024;
/** A chunk-size line with its extensions. */
const chunkLineMaxBytes = 1024;

export interface ResponseHead {
  status: number;
  /** -1: the body is chunked. */
  contentLength: number;
  /** The server will close the connection after this response. */
  closes: boolean;
  /** Content-Range's first and last byte; -1 where there is none. */
  rangeFirst: number;
  rangeLast: number;
}

/** Where a response's parts go. The buffer is the connection's read buffer: it is overwritten after the call. */
export interface ResponseSink {
  /** False: this response is of no use, read no further (the connection is being given up). */
  onHead(head: ResponseHead): boolean;
  /** buffer[start, end) is the body from `offset` on. */
  onBody(buffer: Buffer, start: number, end: number, offset: number): void;
  /** The response is whole, with `bodyBytes`. */
  onEnd(bodyBytes: number): void;
}

const states = { head: 0, body: 1, chunkLine: 2, chunkData: 3, chunkEnd: 4, trailer: 5, broken: 6 } as const;
type State = (typeof states)[keyof typeof states];

export class ResponseReader {
  #state: State = states.head;
  /** The first part of a head or line whose end has not come yet. */
  #carry = "";
  #left = 0;
  #offset = 0;
  #lastHeadText = "";
  #lastHead: ResponseHead = { status: 0, contentLength: 0, closes: false, rangeFirst: -1, rangeLast: -1 };

  constructor(readonly sink: ResponseSink) {}

  /** Whether a response has begun and is not whole. */
  get midResponse(): boolean {
    return this.#state !== states.head || this.#carry !== "";
  }

  /** Takes buffer[0, length). False: what came is not HTTP/1.1; the reader is of no more use. */
  read(buffer: Buffer, length: number): boolean {
    let at = 0;
    while (at < length) {
      switch (this.#state) {
        case states.head: {
          const next = this.#readHead(buffer, at, length);
          if (next < 0) return this.#break();
          at = next;
          break;
        }
        case states.body: {
          const end = this.#takeData(buffer, at, length);
          at = end;
          if (this.#left === 0) this.#end();
          break;
        }
        case states.chunkData: {
          at = this.#takeData(buffer, at, length);
          if (this.#left === 0) this.#state = states.chunkEnd;
          break;
        }
        case states.chunkLine:
        case states.chunkEnd:
        case states.trailer: {
          const next = this.#readLine(buffer, at, length);
          if (next < 0) return this.#break();
          at = next;
          break;
        }
        case states.broken:
          return false;
      }
    }
    return this.#state !== states.broken;
  }

  #break(): false {
    this.#state = states.broken;
    return false;
  }

  #takeData(buffer: Buffer, at: number, length: number): number {
    const end = Math.min(length, at + this.#left);
    this.sink.onBody(buffer, at, end, this.#offset);
    this.#offset += end - at;
    this.#left -= end - at;
    return end;
  }

  #end(): void {
    const bytes = this.#offset;
    this.#state = states.head;
    this.#offset = 0;
    this.sink.onEnd(bytes);
  }

  /** Where to go on; -1 when it is no head. */
  #readHead(buffer: Buffer, at: number, length: number): number {
    let text: string;
    let next: number;
    if (this.#carry === "") {
      const end = buffer.indexOf("\r\n\r\n", at, "latin1");
      if (end < 0 || end + 4 > length) {
        // The buffer holds older bytes beyond `length`: a find there is no find.
        this.#carry = buffer.toString("latin1", at, length);
        return this.#carry.length > headMaxBytes || !couldBeHead(this.#carry) ? -1 : length;
      }
      text = buffer.toString("latin1", at, end);
      next = end + 4;
    } else {
      const before = this.#carry.length;
      this.#carry += buffer.toString("latin1", at, Math.min(length, at + headMaxBytes));
      const end = this.#carry.indexOf("\r\n\r\n", Math.max(0, before - 3));
      if (end < 0) return this.#carry.length > headMaxBytes || !couldBeHead(this.#carry) ? -1 : length;
      text = this.#carry.slice(0, end);
      next = at + end + 4 - before;
      this.#carry = "";
    }
    // Within one second servers send the same head again and again: the comparison is cheaper than the parse.
    if (text !== this.#lastHeadText) {
      const head = parseResponseHead(text);
      if (head === "malformed") return -1;
      this.#lastHead = head;
      this.#lastHeadText = text;
    }
    const head = this.#lastHead;
    // RFC 9110 15.2: interim responses precede the real one.
    if (head.status < 200) return head.status === 101 ? -1 : next;
    if (!this.sink.onHead(head)) return -1;
    this.#offset = 0;
    const bodyless = head.status === 204 || head.status === 304;
    if (bodyless || head.contentLength === 0) this.#end();
    else if (head.contentLength < 0) this.#state = states.chunkLine;
    else {
      this.#left = head.contentLength;
      this.#state = states.body;
    }
    return next;
  }

  /** A line of the chunked coding, RFC 9112 7.1. Where to go on; -1 when it is none. */
  #readLine(buffer: Buffer, at: number, length: number): number {
    const newline = buffer.indexOf(10, at);
    const end = newline < 0 || newline >= length ? length : newline + 1;
    this.#carry += buffer.toString("latin1", at, Math.min(end, at + chunkLineMaxBytes + 1));
    if (this.#carry.length > chunkLineMaxBytes) return -1;
    if (!this.#carry.endsWith("\n")) return end;
    const line = this.#carry;
    this.#carry = "";
    if (!line.endsWith("\r\n")) return -1;
    if (this.#state === states.chunkEnd) {
      if (line !== "\r\n") return -1;
      this.#state = states.chunkLine;
    } else if (this.#state === states.trailer) {
      if (line === "\r\n") this.#end();
    } else {
      const match = /^([0-9a-f]{1,12})[ \t]*(?:;.*)?\r\n$/i.exec(line);
      if (match === null) return -1;
      this.#left = Number.parseInt(match[1]!, 16);
      this.#state = this.#left === 0 ? states.trailer : states.chunkData;
    }
    return end;
  }
}

function couldBeHead(text: string): boolean {
  const start = "HTTP/1.";
  return text.length >= start.length ? text.startsWith(start) : start.startsWith(text);
}

const statusLine = /^HTTP\/1\.[01] ([1-5]\d\d)(?: |\r|$)/;
const contentLengthLine = /\r\ncontent-length:[ \t]*(\d{1,15})[ \t]*(?:\r|$)/i;
const chunkedLine = /\r\ntransfer-encoding:[ \t]*chunked/i;
const closeLine = /\r\nconnection:[ \t]*close/i;
const contentRangeLine = /\r\ncontent-range:[ \t]*bytes (\d{1,15})-(\d{1,15})\/(?:\d+|\*)/i;

/** `text` is the head without its final blank line. A body that only the end of the connection would delimit counts as malformed. */
export function parseResponseHead(text: string): ResponseHead | "malformed" {
  const statusMatch = statusLine.exec(text);
  if (statusMatch === null) return "malformed";
  const status = Number(statusMatch[1]);
  const lengthMatch = contentLengthLine.exec(text);
  const chunked = lengthMatch === null && chunkedLine.test(text);
  if (lengthMatch === null && !chunked && status >= 200 && status !== 204 && status !== 304) return "malformed";
  const range = status === 206 ? contentRangeLine.exec(text) : null;
  return {
    status,
    contentLength: lengthMatch !== null ? Number(lengthMatch[1]) : chunked ? -1 : 0,
    closes: closeLine.test(text),
    rangeFirst: range === null ? -1 : Number(range[1]),
    rangeLast: range === null ? -1 : Number(range[2]),
  };
}
