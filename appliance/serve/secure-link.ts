// Links as nginx's secure_link module makes them: /path?md5=…&expires=…, for sites that sign their URLs so already.
import { createHash, timingSafeEqual } from "node:crypto";

const variables = ["$secure_link_expires", "$uri", "$remote_addr"] as const;

/** What nginx calls the value of secure_link_md5, such as "$secure_link_expires$uri secret". */
export function unknownVariablesOf(expression: string): string[] {
  return [...expression.matchAll(/\$\w+/g)].map(([name]) => name).filter((name) => !variables.includes(name as (typeof variables)[number]));
}

export interface SecureLink {
  md5: string;
  /** Seconds since 1970, as text; "" when the link has none. */
  expires: string;
  /** Decoded, with its slash. */
  uri: string;
  clientAddress: string;
}

/** As nginx decides: "expired" only when the link is genuine. */
export function checkSecureLink(link: SecureLink, expression: string, nowUnixS: number): "ok" | "bad-signature" | "expired" {
  const text = expression.replace(/\$\w+/g, (name) => {
    if (name === "$uri") return link.uri;
    if (name === "$remote_addr") return link.clientAddress;
    return name === "$secure_link_expires" ? link.expires : "";
  });
  const expected = createHash("md5").update(text).digest();
  const given = Buffer.from(link.md5, "base64url");
  if (given.length !== expected.length || !timingSafeEqual(given, expected)) return "bad-signature";
  if (link.expires === "") return "ok";
  const expiresUnixS = /^\d{1,15}$/.test(link.expires) ? Number(link.expires) : 0;
  return expiresUnixS >= nowUnixS ? "ok" : "expired";
}
