// The gateway's API: each route asks the control plane and answers with JSON.
import { LRUCache } from "lru-cache";
import { z } from "zod";
import { jsonAnswer, parseJsonBody } from "./json-body.js";
import { OperatingError } from "../../runtime/operating-error.js";
import type { ControlPlaneClient } from "../control-plane-client.js";
import { deviceBody } from "./catalog-routes.js";
import { applianceJson, playbackJson, titleJson } from "./api-answers.js";
import type { Route, RouteAnswer, RouteRequest } from "./http-app.js";
import type { GatewayMetrics } from "./metrics.js";

/** Pages of titles that are kept for when the control plane is away: 10,000 titles by pages of 50. */
const titlePagesKeptMax = 200;

const playbackBody = z.strictObject({ titleId: z.string().min(1).max(64), device: deviceBody.optional() });

export interface ApiRoutesOptions {
  client: ControlPlaneClient;
  metrics: Pick<GatewayMetrics, "staleAnswers">;
}

interface TitlesPage {
  titles: ReturnType<typeof titleJson>[];
  nextPageToken: string;
}

/** Path → route. */
export function makeApiRoutes({ client, metrics }: ApiRoutesOptions): Map<string, Route> {
  const keptPages = new LRUCache<string, TitlesPage>({ max: titlePagesKeptMax });

  const listTitles = async ({ query, requestId }: RouteRequest): Promise<RouteAnswer> => {
    const pageSize = parsePageSize(query.get("pageSize"));
    const pageToken = query.get("pageToken") ?? "";
    const key = `${pageSize} ${pageToken}`;
    try {
      const answer = await client.listTitles({ pageSize, pageToken }, requestId);
      const page: TitlesPage = { titles: answer.titles.map(titleJson), nextPageToken: answer.nextPageToken };
      keptPages.set(key, page);
      return jsonAnswer(page);
    } catch (error) {
      const kept = isAway(error) ? keptPages.get(key) : undefined;
      if (!kept) throw error;
      metrics.staleAnswers.inc();
      return jsonAnswer({ ...kept, stale: true });
    }
  };

  const startPlayback = async ({ body, clientAddress, requestId, authorization }: RouteRequest): Promise<RouteAnswer> => {
    const { titleId, device } = parseJsonBody(body, playbackBody);
    const request = { titleId, clientAddress, ...(device && { device }) };
    return jsonAnswer(playbackJson(await client.startPlayback(request, { requestId, authorization, clientAddress })));
  };

  const listFleet = async ({ requestId, authorization }: RouteRequest): Promise<RouteAnswer> => {
    const { appliances } = await client.listAppliances({}, { requestId, authorization });
    return jsonAnswer({ appliances: appliances.map(applianceJson) });
  };

  return new Map<string, Route>([
    ["/api/titles", { name: "titles", methods: ["GET"], crossOrigin: true, answer: listTitles }],
    ["/api/playback", { name: "playback", methods: ["POST"], crossOrigin: true, answer: startPlayback }],
    ["/api/fleet", { name: "fleet", methods: ["GET"], crossOrigin: true, answer: listFleet }],
  ]);
}

/** Whether what was asked for may still be true, and only can't be asked now. */
function isAway(error: unknown): boolean {
  return error instanceof OperatingError && ["control-plane-away", "store-unavailable", "call-too-long"].includes(error.code);
}

function parsePageSize(text: string | null): number {
  if (text === null) return 0; // The control plane's default.
  const pageSize = /^\d{1,4}$/.test(text) ? Number(text) : 0;
  if (pageSize < 1 || pageSize > 500) {
    throw new OperatingError(
      "invalid-argument",
      `Cannot list titles: pageSize must be 1 to 500: received ${JSON.stringify(text.slice(0, 50))}`,
    );
  }
  return pageSize;
}
