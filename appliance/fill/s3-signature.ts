// What an S3 upstream is beyond HTTP: where a bucket lies, and how requests are signed (AWS Signature Version 4).
import { AwsV4Signer } from "aws4fetch";
import type { HttpUpstreamOptions } from "./http-upstream.js";
import type { UpstreamSettings } from "./upstream.js";

const defaultRegion = "us-east-1";

export interface S3Options {
  /** Path-style: every S3 server answers it, and bucket names with dots keep working over TLS. */
  base: URL;
  sign: NonNullable<HttpUpstreamOptions["sign"]>;
}

/**
 * The HTTP side of "s3://bucket/prefix". Keys come from the environment as other S3 programs have them: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY,
 * AWS_SESSION_TOKEN. Answers why not, when something is missing.
 */
export function s3Options({ url, endpoint, region = defaultRegion }: UpstreamSettings, environment: NodeJS.ProcessEnv): S3Options | string {
  const { hostname: bucket, pathname, search, hash } = new URL(url);
  const { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey, AWS_SESSION_TOKEN: sessionToken } = environment;
  if (bucket === "") return "it names no bucket";
  if (search !== "" || hash !== "") return "expected s3://bucket/prefix and nothing behind it";
  if (!accessKeyId || !secretAccessKey) return "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set";
  if (endpoint !== undefined && !/^https?:$/.test(URL.canParse(endpoint) ? new URL(endpoint).protocol : ""))
    return "its endpoint is not an http or https URL";
  const base = new URL(endpoint ?? `https://s3.${region}.amazonaws.com/`);
  base.pathname = `${base.pathname.replace(/\/$/, "")}/${bucket}${pathname.endsWith("/") ? pathname : `${pathname}/`}`;
  const keys = { accessKeyId, secretAccessKey, ...(sessionToken ? { sessionToken } : {}) };
  return {
    base,
    sign: async (method, target) => {
      const { headers } = await new AwsV4Signer({ method, url: target, service: "s3", region, ...keys }).sign();
      // The address is the connection's own affair.
      return Object.fromEntries([...headers].filter(([name]) => name !== "host"));
    },
  };
}
