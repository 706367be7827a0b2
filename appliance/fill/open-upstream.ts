// From an upstream's URL to the upstream.
import { fileURLToPath } from "node:url";
import { OperatingError } from "../../runtime/operating-error.js";
import { FileUpstream } from "./file-upstream.js";
import { HttpUpstream, type HttpUpstreamOptions } from "./http-upstream.js";
import type { Upstream } from "./upstream.js";

/** Schemes that `openUpstream` knows. `appliance:` is HTTP to another appliance. */
export const upstreamSchemes = ["file:", "http:", "https:", "appliance:"] as const;

/** @throws OperatingError "upstream-refused" when the URL is none, or of another scheme. */
export function openUpstream(url: string, options: HttpUpstreamOptions): Upstream {
  if (!URL.canParse(url)) throw new OperatingError("upstream-refused", `Cannot use upstream ${url}: it is not a URL`, { source: url });
  const parsed = new URL(url);
  switch (parsed.protocol) {
    case "file:":
      return new FileUpstream(fileURLToPath(parsed));
    case "http:":
    case "https:":
      return new HttpUpstream(parsed, options);
    case "appliance:":
      return new HttpUpstream(new URL(url.replace(/^appliance:/, "http:")), options);
    default:
      throw new OperatingError("upstream-refused", `Cannot use upstream ${url}: its scheme must be one of ${upstreamSchemes.join(", ")}`, {
        source: url,
      });
  }
}
