import assert from "node:assert/strict";
import { createHash, createHmac } from "node:crypto";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { HttpUpstream } from "./http-upstream.js";
import { s3Options } from "./s3-signature.js";

const environment = { AWS_ACCESS_KEY_ID: "AKIDEXAMPLE", AWS_SECRET_ACCESS_KEY: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY" };

/** The signature that "Signature Calculations for the Authorization Header" of the S3 API reference asks for, computed from what arrived. */
function expectedSignature(request: IncomingMessage, secret: string): string {
  const [, scope, signedHeaders] = /Credential=[^/]+\/([^,]+), SignedHeaders=([^,]+),/.exec(request.headers.authorization ?? "") ?? [];
  const hmac = (key: string | Buffer, text: string) => createHmac("sha256", key).update(text).digest();
  const canonicalPath = request
    .url!.split("/")
    .map((part) =>
      encodeURIComponent(decodeURIComponent(part)).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`),
    )
    .join("/");
  const headerLines = signedHeaders!.split(";").map((name) => `${name}:${String(request.headers[name]).trim()}\n`);
  const payload = String(request.headers["x-amz-content-sha256"]);
  const canonical = [request.method, canonicalPath, "", headerLines.join(""), signedHeaders, payload].join("\n");
  const toSign = `AWS4-HMAC-SHA256\n${String(request.headers["x-amz-date"])}\n${scope}\n${createHash("sha256").update(canonical).digest("hex")}`;
  const [day, region, service, end] = scope!.split("/");
  const key = hmac(hmac(hmac(hmac(`AWS4${secret}`, day!), region!), service!), end!);
  return hmac(key, toSign).toString("hex");
}

test("s3Options() signs every request so that a server that computes the signature anew accepts it", async (t) => {
  const bytes = Buffer.from("film");
  const refused: string[] = [];
  const server = createServer((request, response) => {
    const given = /Signature=([0-9a-f]+)/.exec(request.headers.authorization ?? "")?.[1];
    if (given !== expectedSignature(request, environment.AWS_SECRET_ACCESS_KEY)) {
      refused.push(request.url!);
      response.writeHead(403).end();
      return;
    }
    if (request.url!.includes(".millrace")) return response.writeHead(404).end();
    const range = request.headers.range ? { "Content-Range": `bytes 0-3/${bytes.length}` } : {};
    response.writeHead(request.headers.range ? 206 : 200, { "Content-Length": bytes.length, ETag: '"e"', ...range });
    response.end(request.method === "HEAD" ? undefined : bytes);
    return;
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
  t.after(() => server.close());
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  for (const keys of [environment, { ...environment, AWS_SESSION_TOKEN: "token//of+session==" }]) {
    const s3 = s3Options({ url: "s3://films/a prefix/", endpoint, region: "eu-central-1" }, keys);
    assert.ok(typeof s3 === "object");
    const upstream = new HttpUpstream(s3.base, { connections: 2, connectTimeoutMs: 2000, silenceTimeoutMs: 2000, sign: s3.sign });
    t.after(() => upstream.close());
    for (const path of ["film.mp4", "with space & ü+(1)!*'.mp4", "deep/er/~film=1.mp4"]) {
      const object = await upstream.describe({ path, via: [] });
      assert.deepEqual(object, { sizeBytes: 4, etag: '"e"', lastModifiedUnixMs: 0 }, path);
      const into = new Uint8Array(4);
      assert.equal(
        await upstream.fetch({ path, via: [], sizeBytes: 4, etag: '"e"', lastModifiedUnixMs: 0, digested: false, offsetBytes: 0, into }),
        undefined,
      );
      assert.ok(bytes.equals(into));
    }
  }
  assert.deepEqual(refused, []);
});

test("s3Options() says what is missing", () => {
  assert.match(String(s3Options({ url: "s3://films/" }, {})), /AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set/);
  assert.match(String(s3Options({ url: "s3:///films" }, environment)), /names no bucket/);
  assert.match(String(s3Options({ url: "s3://films/?x=1" }, environment)), /nothing behind it/);
  assert.match(String(s3Options({ url: "s3://films", endpoint: "ftp://x" }, environment)), /endpoint/);
  const amazon = s3Options({ url: "s3://films/a", region: "eu-west-1" }, environment);
  assert.equal(typeof amazon === "object" && amazon.base.href, "https://s3.eu-west-1.amazonaws.com/films/a/");
});
