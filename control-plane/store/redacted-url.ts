// A URL that may be shown: in logs, on /status, in messages.

/** `url` without its password. */
export function redactedUrl(url: string): string {
  return url.replace(/^([a-z+]+:\/\/[^/@]*?:)[^@]*@/i, "$1***@");
}
