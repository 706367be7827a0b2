// The gateway's API: each route asks the control plane and answers with JSON.
import { LRUCache } from "lru-cache";
import { z } from "zod";
import { OperatingError } from "../../runtime/operating-error.js";
import { deviceBody, encode } from "./catalog-routes.js";
import { applianceJson, playbackJson, titleJson } from "./api-answers.js";
import { appliance, playback, title } from "./api-schemas.js";
import type { Route } from "./http-app.js";
import { getRoute, postRoute } from "./json-route.js";
import type { KeptPlaybacks } from "./kept-playbacks.js";
import type { GatewayMetrics } from "./metrics.js";
import type { ControlPlaneCalls } from "./services/call-table.js";
import { breakerStates, isAway, type BreakerState } from "./services/service-guard.js";
import { copyStates, type CopyState } from "./services/control-plane-copies.js";

/** Pages of titles that are kept for when the catalog can't be asked: 10,000 titles by pages of 50. */
const titlePagesKeptMax = 200;

const pageSize = z
  .string()
  .regex(/^([1-9]\d?|[1-4]\d\d|500)$/, "Expected 1 to 500")
  .transform(Number);
const stale = z.boolean().optional();
const titlesPage = z.object({ titles: z.array(title), nextPageToken: z.string(), stale });
const gatewayState = z.object({
  services: z.array(z.object({ service: z.string(), breaker: z.enum(breakerStates), running: z.int(), callsAtOnce: z.int() })),
  copies: z.object(Object.fromEntries(copyStates.map((state) => [state, z.int()])) as Record<CopyState, z.ZodInt>),
});

export interface ApiRoutesOptions {
  calls: ControlPlaneCalls;
  metrics: Pick<GatewayMetrics, "staleAnswers">;
  keptPlaybacks: KeptPlaybacks;
  services: () => readonly { service: string; state: BreakerState; running: number; callsAtOnce: number }[];
  copies: () => readonly { state: CopyState }[];
}

/** Path → route. */
export function makeApiRoutes({ calls, metrics, keptPlaybacks, services, copies }: ApiRoutesOptions): Map<string, Route> {
  const keptPages = new LRUCache<string, z.input<typeof titlesPage>>({ max: titlePagesKeptMax });

  const listTitles = getRoute({
    name: "titles",
    summary: "A page of the catalog. stale: the catalog can't be asked, and this is what it said last",
    call: "listTitles",
    query: z.object({ pageSize: pageSize.optional(), pageToken: z.string().default("") }),
    answer: titlesPage,
    work: async ({ pageSize = 0, pageToken }, { requestId = "" }) => {
      const key = `${pageSize} ${pageToken}`;
      try {
        const answer = await calls.listTitles({ pageSize, pageToken }, requestId);
        const page = { titles: answer.titles.map(titleJson), nextPageToken: answer.nextPageToken };
        keptPages.set(key, page);
        return page;
      } catch (error) {
        const kept = isAway(error) ? keptPages.get(key) : undefined;
        if (!kept) throw error;
        metrics.staleAnswers.inc({ service: "catalog" });
        return { ...kept, stale: true };
      }
    },
  });

  const startPlayback = postRoute({
    name: "playback",
    summary: "What a player needs to start: ranked URLs. stale: playback can't be asked, and this is what it said last",
    call: "startPlayback",
    body: z.strictObject({ titleId: z.string().min(1).max(64), device: deviceBody.optional() }),
    answer: playback.extend({ encodes: z.array(encode), stale }),
    work: async ({ titleId, device }, { requestId = "", authorization = "", clientAddress = "" }) => {
      const asked = { titleId, clientAddress, authorization, device: JSON.stringify(device ?? {}) };
      try {
        const answer = playbackJson(
          await calls.startPlayback({ titleId, clientAddress, ...(device && { device }) }, { requestId, authorization, clientAddress }),
        );
        keptPlaybacks.keep(asked, answer);
        return answer;
      } catch (error) {
        const kept = isAway(error) ? keptPlaybacks.find(asked) : undefined;
        if (kept) {
          metrics.staleAnswers.inc({ service: "playback" });
          return { ...kept, stale: true };
        }
        if (error instanceof OperatingError && !isAway(error)) keptPlaybacks.forget(asked);
        throw error;
      }
    },
  });

  const listFleet = getRoute({
    name: "fleet",
    summary: "The appliances, their states and totals",
    call: "listAppliances",
    answer: z.object({ appliances: z.array(appliance) }),
    work: async (_, { requestId = "", authorization = "" }) => {
      const { appliances } = await calls.listAppliances({}, { requestId, authorization });
      return { appliances: appliances.map(applianceJson) };
    },
  });

  const showGateway = getRoute({
    name: "gateway",
    summary: "The gateway's breakers, and how many copies of the control plane are well",
    answer: gatewayState,
    work: () => {
      const all = copies();
      return {
        services: services().map(({ state, ...service }) => ({ ...service, breaker: state })),
        copies: Object.fromEntries(copyStates.map((state) => [state, all.filter((copy) => copy.state === state).length])) as Record<
          CopyState,
          number
        >,
      };
    },
  });

  return new Map<string, Route>([
    ["/api/titles", listTitles],
    ["/api/playback", startPlayback],
    ["/api/fleet", listFleet],
    ["/api/gateway", showGateway],
  ]);
}
