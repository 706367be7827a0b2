// The floor: the least uWebSockets.js program that sends ranges of files from memory. What an appliance's features cost is measured against it.
//
//   node dist/bench/peers/bare-floor.js --files DIR [--host 127.0.0.1] [--port 0] [--cert FILE --key FILE]
//
// It has no cache, no disk, no index, no tokens, no metrics, no conditional requests and one kind of range ("bytes=a-b"). Prints "ready PORT".
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { App, SSLApp, us_socket_local_port, type HttpResponse } from "uWebSockets.js";

const { values } = parseArgs({
  options: {
    files: { type: "string" },
    host: { type: "string", default: "127.0.0.1" },
    port: { type: "string", default: "0" },
    cert: { type: "string" },
    key: { type: "string" },
  },
});
if (values.files === undefined) throw new Error("Cannot start: --files DIR is missing");

const objects = new Map<string, Uint8Array>();
for (const name of readdirSync(values.files)) {
  const bytes = readFileSync(join(values.files, name));
  const shared = new Uint8Array(new SharedArrayBuffer(bytes.length));
  shared.set(bytes);
  objects.set(`/${name}`, shared);
}

const app =
  values.cert === undefined || values.key === undefined ? App() : SSLApp({ cert_file_name: values.cert, key_file_name: values.key });

app.get("/*", (response, request) => {
  const object = objects.get(request.getUrl());
  if (object === undefined) {
    response.writeStatus("404 Not Found").end();
    return;
  }
  const range = /^bytes=(\d+)-(\d+)$/.exec(request.getHeader("range"));
  if (range === null) {
    send(response, object);
    return;
  }
  const first = Number(range[1]);
  const last = Math.min(Number(range[2]), object.length - 1);
  response.writeStatus("206 Partial Content").writeHeader("Content-Range", `bytes ${first}-${last}/${object.length}`);
  send(response, object.subarray(first, last + 1));
});

function send(response: HttpResponse, body: Uint8Array): void {
  const start = response.getWriteOffset();
  const [sent] = response.tryEnd(body, body.length);
  if (sent) return;
  response.onAborted(() => {});
  response.onWritable((offset) => response.tryEnd(body.subarray(offset - start), body.length)[0]);
}

app.listen(values.host, Number(values.port), (socket) => {
  if (!socket) {
    process.stderr.write(`Cannot listen on ${values.host}:${values.port}\n`);
    process.exit(1);
  }
  process.stdout.write(`ready ${us_socket_local_port(socket)}\n`);
});
