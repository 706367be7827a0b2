// The filter after: headers that every answer has, whatever the route.
import type { Route, RouteAnswer } from "../http-app.js";

/** An API's answer is no document: nothing may be loaded or framed by it. Pages bring a policy of their own. */
const nothingLoads = "default-src 'none'; frame-ancestors 'none'";

export function withStandardHeaders(answer: RouteAnswer, route: Route | undefined, requestId: string): RouteAnswer {
  const headers: Record<string, string> = {
    "Content-Security-Policy": nothingLoads,
    ...answer.headers,
    "X-Request-Id": requestId,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": route?.crossOrigin ? "cross-origin" : "same-origin",
  };
  if (route?.crossOrigin) {
    headers["Access-Control-Allow-Origin"] = "*";
    headers["Access-Control-Expose-Headers"] = "X-Request-Id, Retry-After";
  }
  return { ...answer, headers };
}

export function preflightHeaders(route: Route): Record<string, string> {
  return {
    "Access-Control-Allow-Methods": allowedMethods(route).join(", "),
    "Access-Control-Allow-Headers": "Authorization, Content-Type, Idempotency-Key, X-Request-Id",
    "Access-Control-Max-Age": "86400",
  };
}

/** GET brings HEAD with it, and other origins may ask what they may. */
export function allowedMethods(route: Route): string[] {
  const methods: string[] = [...route.methods];
  if (methods.includes("GET")) methods.push("HEAD");
  if (route.crossOrigin) methods.push("OPTIONS");
  return methods;
}
