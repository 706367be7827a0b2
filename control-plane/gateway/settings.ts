// The settings of the gateway: every key, its default, its bounds and why.
import { z } from "zod";
import { logLevels } from "../../runtime/log.js";
import { durationSetting } from "../../runtime/settings-file.js";
import { parseControlPlaneUrl } from "../control-plane-client.js";
import { listenSetting } from "../settings.js";
import { prefixSetting } from "../steering/steering-settings.js";
import { serviceNames, type ServiceName } from "./services/call-table.js";

const controlPlaneUrl = z.string().refine((url) => parseControlPlaneUrl(url) !== undefined, "Expected a URL such as grpc://127.0.0.1:7000");

const callsAtOnceMax = 10_000;

const guard = z
  .strictObject({
    /** A call is given up after so long, repeats and all: a player waits for it. */
    timeout: durationSetting(60_000).default(2000),
    /** Calls at once to this service; more are answered with 503, so that a slow service can't hold all of the gateway's. */
    callsAtOnce: z.number().int().min(1).max(callsAtOnceMax).default(200),
    /** How often a call that changes nothing is made again, each time to another copy. */
    retries: z.number().int().min(0).max(10).default(2),
    /** Repeats that a call earns: 0.1 = at most one call in ten is made again in the long run. */
    retryShare: z.number().min(0).max(1).default(0.1),
    breaker: z
      .strictObject({
        /** It looks so far back. */
        over: durationSetting().default(10_000),
        /** Of fewer calls nothing is concluded. */
        callsMin: z.number().int().min(1).max(1_000_000).default(20),
        /** It opens when more than this share of them failed. */
        faultShare: z.number().min(0.01).max(0.99).default(0.5),
        /** After it one call tries whether the service is back. */
        openFor: durationSetting().default(2000),
      })
      .prefault({}),
  })
  .prefault({});

const services = z.strictObject(Object.fromEntries(serviceNames.map((name) => [name, guard])) as Record<ServiceName, typeof guard>);

const rateSetting = (perSecond: number, burst: number) =>
  z
    .strictObject({
      perSecond: z.number().min(0.1).max(1_000_000).default(perSecond),
      /** So many at once after a quiet time. */
      burst: z.number().int().min(1).max(1_000_000).default(burst),
    })
    .prefault({});

export const gatewaySettings = z.strictObject({
  listen: listenSetting(8000).prefault({}),
  /** A port with /healthz, /readyz, /metrics and /status only, where the public one must not show them. */
  admin: listenSetting(8001).optional(),
  controlPlane: z
    .strictObject({
      /** One copy or several; a host name stands for all of its addresses. */
      url: z
        .union([controlPlaneUrl.transform((url) => [url]), z.array(controlPlaneUrl).min(1).max(100)], {
          error: "Expected a URL such as grpc://127.0.0.1:7000, or a list of 1 to 100",
        })
        .default(["grpc://127.0.0.1:7000"]),
      /** How often host names are looked up again. */
      discoverEvery: durationSetting().default(10_000),
      /** How often each copy is asked whether it is well. */
      healthEvery: durationSetting().default(1000),
      /** From the control plane's authentication.services, so that it believes the gateway about players' addresses. */
      secret: z.string().min(32).optional(),
    })
    .prefault({}),
  /** What guards the gateway from each service of the control plane. */
  services: services.prefault(Object.fromEntries(serviceNames.map((name) => [name, {}])) as Record<ServiceName, object>),
  fallback: z
    .strictObject({
      /** A ranked list is given again for so long after it was made, while playback can't be asked. */
      playbackMaxAge: durationSetting().default(300_000),
    })
    .prefault({}),
  rateLimit: z
    .strictObject({
      /** Of one client address (IPv6: one /64). Many players may share one. */
      perAddress: rateSetting(500, 2000),
      /** Of one access token. */
      perToken: rateSetting(50, 200),
    })
    .prefault({}),
  /** Proxies whose X-Forwarded-For is believed. Steering goes by the client's address, so a client must not choose it. */
  trustForwardedFrom: z.array(prefixSetting()).max(1000).default([]),
  log: z.strictObject({ level: z.enum(logLevels).default("info") }).prefault({}),
});

export type GatewaySettings = z.output<typeof gatewaySettings>;
