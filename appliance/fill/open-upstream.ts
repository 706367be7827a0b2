// From an upstream of the settings to the upstream.
import { fileURLToPath } from "node:url";
import { OperatingError } from "../../runtime/operating-error.js";
import { FileUpstream } from "./file-upstream.js";
import { HttpUpstream, type HttpUpstreamOptions } from "./http-upstream.js";
import { s3Options } from "./s3-signature.js";
import type { Upstream, UpstreamSettings } from "./upstream.js";

/** Schemes that `openUpstream` knows. `appliance:` is HTTP to another appliance. */
const upstreamSchemes = ["file:", "http:", "https:", "appliance:", "s3:"] as const;

/** @throws OperatingError "upstream-refused" when the URL is none, is of another scheme, or lacks what its scheme needs. */
export function openUpstream(settings: UpstreamSettings, options: HttpUpstreamOptions): Upstream {
  const { url } = settings;
  const refuse = (reason: string) => new OperatingError("upstream-refused", `Cannot use upstream ${url}: ${reason}`, { source: url });
  if (!URL.canParse(url)) throw refuse("it is not a URL");
  const parsed = new URL(url);
  if (parsed.protocol !== "s3:" && (settings.endpoint ?? settings.region) !== undefined)
    throw refuse("endpoint and region are for s3:// only");
  switch (parsed.protocol) {
    case "file:":
      return new FileUpstream(fileURLToPath(parsed));
    case "http:":
    case "https:":
      return new HttpUpstream(parsed, options);
    case "appliance:":
      return new HttpUpstream(new URL(url.replace(/^appliance:/, "http:")), { ...options, kind: "appliance" });
    case "s3:": {
      const s3 = s3Options(settings, process.env);
      if (typeof s3 === "string") throw refuse(s3);
      return new HttpUpstream(s3.base, { ...options, sign: s3.sign });
    }
    default:
      throw refuse(`its scheme must be one of ${upstreamSchemes.join(", ")}`);
  }
}
