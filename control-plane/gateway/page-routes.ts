// The player page and the operator console: a fixed table of files, read once at boot, so that no path can lead out of it.
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { lookup } from "mime-types";
import { OperatingError } from "../../runtime/operating-error.js";
import type { Route, RouteAnswer, RouteRequest } from "./http-app.js";

/**
 * What the pages may do: run only our own scripts, play and ask from any appliance (their addresses come from the control
 * plane), and let hls.js make its worker from a blob.
 */
const contentSecurityPolicy = [
  "default-src 'self'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data: blob: http: https:",
  "connect-src 'self' http: https:",
  "media-src 'self' blob: http: https:",
  "worker-src 'self' blob:",
  "object-src 'none'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join("; ");

/** Path → file, relative to the package's folder. */
const pages: Readonly<Record<string, string>> = { "/": "web/player.html", "/console": "web/console.html" };

/** Every page and asset that is there now. A page whose file is missing answers with 404 and says which. */
export function readPageRoutes(packageRoot: string): Map<string, Route> {
  const routes = new Map<string, Route>();
  for (const [path, file] of Object.entries(pages)) {
    const absolute = join(packageRoot, file);
    routes.set(path, existsSync(absolute) ? fileRoute(absolute, "page") : missingPageRoute(file));
  }
  for (const [name, file] of assetsOf(packageRoot)) routes.set(`/assets/${name}`, fileRoute(file, "asset"));
  return routes;
}

function* assetsOf(packageRoot: string): Generator<[name: string, file: string]> {
  for (const [folder, pattern] of [
    ["dist/web", /^[\w-]+\.js(\.map)?$/], // Compiled tests have two dots and stay out.
    ["web", /^[\w-]+\.(css|svg|png|ico)$/],
  ] as const) {
    const absolute = join(packageRoot, folder);
    for (const name of existsSync(absolute) ? readdirSync(absolute) : []) if (pattern.test(name)) yield [name, join(absolute, name)];
  }
  const hls = join(packageRoot, "node_modules/hls.js/dist/hls.min.js");
  if (existsSync(hls)) yield ["hls.min.js", hls];
}

function fileRoute(file: string, name: string): Route {
  const body = readFileSync(file);
  const etag = `"${createHash("sha256").update(body).digest("hex").slice(0, 32)}"`;
  const headers = {
    "Content-Type": contentTypeOf(file),
    // Always asked for, seldom sent: the tag changes with the bytes.
    "Cache-Control": "no-cache",
    ETag: etag,
    "Content-Security-Policy": contentSecurityPolicy,
  };
  const answer = ({ ifNoneMatch }: RouteRequest): RouteAnswer =>
    matchesTag(ifNoneMatch, etag) ? { status: 304, headers, body: "" } : { status: 200, headers, body };
  return { name, methods: ["GET"], crossOrigin: false, answer };
}

function missingPageRoute(file: string): Route {
  return {
    name: "page",
    methods: ["GET"],
    crossOrigin: false,
    answer: () => {
      throw new OperatingError("page-missing", `Cannot show this page: ${file} is not in this installation`, { source: file });
    },
  };
}

/** RFC 9110 13.1.2: If-None-Match compares weakly. */
function matchesTag(ifNoneMatch: string, etag: string): boolean {
  return ifNoneMatch.split(",").some((tag) => tag.trim() === "*" || tag.trim().replace(/^W\//, "") === etag);
}

function contentTypeOf(file: string): string {
  if (file.endsWith(".map")) return "application/json";
  const type = lookup(file) || "application/octet-stream";
  return type.startsWith("text/") ? `${type}; charset=utf-8` : type;
}
