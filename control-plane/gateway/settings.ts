// The settings of the gateway: every key, its default, its bounds and why.
import { z } from "zod";
import { logLevels } from "../../runtime/log.js";
import { parseControlPlaneUrl } from "../control-plane-client.js";
import { listenSetting } from "../settings.js";
import { prefixSetting } from "../steering/steering-settings.js";

export const gatewaySettings = z.strictObject({
  listen: listenSetting(8000).prefault({}),
  /** A port with /healthz, /readyz, /metrics and /status only, where the public one must not show them. */
  admin: listenSetting(8001).optional(),
  controlPlane: z
    .strictObject({
      url: z
        .string()
        .refine((url) => parseControlPlaneUrl(url) !== undefined, "Expected a URL such as grpc://127.0.0.1:7000")
        .default("grpc://127.0.0.1:7000"),
      /** From the control plane's authentication.services, so that it believes the gateway about players' addresses. */
      secret: z.string().min(32).optional(),
    })
    .prefault({}),
  /** Proxies whose X-Forwarded-For is believed. Steering goes by the client's address, so a client must not choose it. */
  trustForwardedFrom: z.array(prefixSetting()).max(1000).default([]),
  log: z.strictObject({ level: z.enum(logLevels).default("info") }).prefault({}),
});

export type GatewaySettings = z.output<typeof gatewaySettings>;
