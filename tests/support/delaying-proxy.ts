// A gRPC proxy in front of a control plane that keeps the calls of one service waiting: real HTTP/2 frames, nothing decoded.
import { once } from "node:events";
import { connect, createServer, type ServerHttp2Session } from "node:http2";
import type { AddressInfo } from "node:net";
import { setTimeout as wait } from "node:timers/promises";

export interface DelayingProxy {
  url: string;
  /** Calls whose path begins so wait for so long; 0 for none. */
  delay(pathPrefix: string, ms: number): void;
  /** How many calls with this path prefix have come. */
  calls(pathPrefix: string): number;
  close(): Promise<void>;
}

export async function openDelayingProxy(targetPort: number): Promise<DelayingProxy> {
  const target = connect(`http://127.0.0.1:${targetPort}`);
  target.on("error", () => {});
  const sessions = new Set<ServerHttp2Session>();
  const paths: string[] = [];
  let [slowPrefix, delayMs] = ["", 0];
  const server = createServer();
  server.on("session", (session) => {
    sessions.add(session);
    session.on("close", () => sessions.delete(session));
  });
  server.on("stream", (stream, headers) => {
    const path = String(headers[":path"]);
    paths.push(path);
    stream.on("error", () => {});
    const forward = async () => {
      if (delayMs > 0 && path.startsWith(slowPrefix)) await wait(delayMs);
      if (stream.destroyed) return;
      const { ":authority": _, ...sent } = headers;
      const upstream = target.request(sent);
      upstream.on("error", () => stream.close());
      let trailers = {};
      upstream.on("trailers", (sent) => (trailers = sent));
      upstream.on("response", (answer, flags) => {
        if (stream.destroyed) return;
        const { ":status": status, ...rest } = answer;
        // Without a body the trailers are the headers.
        const isWhole = (flags & 1) !== 0;
        stream.respond({ ":status": status ?? 200, ...rest }, isWhole ? { endStream: true } : { waitForTrailers: true });
        if (isWhole) return;
        stream.on("wantTrailers", () => stream.sendTrailers(trailers));
        upstream.pipe(stream);
      });
      stream.pipe(upstream);
    };
    forward().catch(() => stream.close());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `grpc://127.0.0.1:${(server.address() as AddressInfo).port}`,
    delay: (prefix, ms) => ([slowPrefix, delayMs] = [prefix, ms]),
    calls: (prefix) => paths.filter((path) => path.startsWith(prefix)).length,
    close: async () => {
      for (const session of sessions) session.destroy();
      target.destroy();
      server.close();
      await once(server, "close");
    },
  };
}
