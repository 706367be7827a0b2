// What a stock player needs to be steered while it plays: an entry document with every ranked appliance as a pathway, and the steering manifest
// that it asks for again and again.
import { LRUCache } from "lru-cache";
import { z } from "zod";
import { OperatingError } from "../../runtime/operating-error.js";
import { urlOf } from "../playback/playback-answer.js";
import type { Pathway } from "../protocol/generated/millrace/steering/v1/steering.js";
import type { Route, RouteAnswer, RouteRequest } from "./http-app.js";
import type { ControlPlaneCalls } from "./services/call-table.js";
import { steerDashManifest } from "./steer-dash-manifest.js";
import { cloneHlsPathway, steerHlsPlaylist, type PathwayClone, type SteeredPathway } from "./steer-hls-playlist.js";

/** Pathways in an entry document; further ones come as clones. More would make it long, and players try them in order anyway. */
const pathwaysInDocumentMax = 4;
/** Entry documents are small; one that is not is none. */
const documentBytesMax = 1024 * 1024;
/** One appliance may be dead: the next is asked. */
const documentTimeoutMs = 1500;
const documentTriesMax = 3;
const documentsKeptMax = 500;
const documentKeptMs = 10_000;

type Format = "hls" | "dash";
const documentTypes = { hls: "application/vnd.apple.mpegurl", dash: "application/dash+xml" } as const;

export function makeContentSteeringRoutes(calls: ControlPlaneCalls): Map<string, Route> {
  const documents = new LRUCache<string, string>({ max: documentsKeptMax, ttl: documentKeptMs });

  const steer = async (format: Format, { query, clientAddress, requestId }: RouteRequest) => {
    const prefix = format === "hls" ? "_HLS" : "_DASH";
    // DASH players may name several service locations, the current one first.
    const pathwayId = unquoted(query.get(`${prefix}_pathway`) ?? "")
      .split(",")[0]!
      .slice(0, 64);
    const throughput = Number(unquoted(query.get(`${prefix}_throughput`) ?? "").split(",")[0]);
    const session = query.get("session") ?? "";
    const throughputBitsPerSecond = Number.isFinite(throughput) && throughput > 0 ? BigInt(Math.round(Math.min(throughput, 1e12))) : 0n;
    const answer = await calls.steerContent({ session, clientAddress, pathwayId, throughputBitsPerSecond }, requestId);
    const path = format === "hls" ? answer.hlsPath : answer.dashPath;
    if (path === "") throw new OperatingError("title-unplayable", `Cannot steer: the title has no ${format.toUpperCase()} document`);
    return { session, path, ttlSeconds: answer.ttlSeconds, pathways: answer.pathways.map((pathway) => toSteered(pathway, path)) };
  };

  const readDocument = async (path: string, pathways: readonly SteeredPathway[]): Promise<string> => {
    const kept = documents.get(path);
    if (kept !== undefined) return kept;
    for (const { playlistUrl } of pathways.slice(0, documentTriesMax)) {
      try {
        const response = await fetch(playlistUrl, { signal: AbortSignal.timeout(documentTimeoutMs), redirect: "error" });
        const text = await response.text();
        if (!response.ok || text.length > documentBytesMax) continue;
        documents.set(path, text);
        return text;
      } catch {
        // Dead or slow: the next one.
      }
    }
    throw new OperatingError("no-appliance-live", "Cannot steer: no appliance gave the title's document", { retryable: true });
  };

  /** Where the player asks for the manifest, from then on: with the pathways that it knows, so that others come as clones. */
  const serverUri = (format: Format, session: string, known: readonly string[]) =>
    `/api/steering/${format}?${new URLSearchParams({ session, known: known.join(",") })}`;

  const entryDocument = (format: Format) => async (request: RouteRequest) => {
    const { session, path, pathways } = await steer(format, request);
    const text = await readDocument(path, pathways);
    const used = pathways.slice(0, pathwaysInDocumentMax);
    const known = used.map(({ id }) => id);
    // Absolute in DASH, where a relative one would stand against a BaseURL.
    const uri = format === "hls" ? serverUri(format, session, known) : `${request.origin}${serverUri(format, session, known)}`;
    const steered =
      format === "hls"
        ? steerHlsPlaylist(text, { pathways: used, serverUri: uri })
        : steerDashManifest(text, { pathways: used, serverUri: uri });
    if (steered === undefined) throw new OperatingError("title-unplayable", "Cannot steer: the title's document is no manifest");
    return answer(documentTypes[format], steered);
  };

  const steeringManifest = (format: Format) => async (request: RouteRequest) => {
    const { session, path, ttlSeconds, pathways } = await steer(format, request);
    const known = (request.query.get("known") ?? "")
      .split(",")
      .filter((id) => /^[A-Za-z0-9._-]{1,64}$/.test(id))
      .slice(0, pathwaysInDocumentMax);
    const unknown = pathways.filter(({ id }) => !known.includes(id));
    const base = known[0];
    let clones: PathwayClone[] = [];
    if (base !== undefined && unknown.length > 0) {
      const text = format === "hls" ? await readDocument(path, pathways) : undefined;
      clones = unknown.map((clone) =>
        text === undefined
          ? { "BASE-ID": base, ID: clone.id, "URI-REPLACEMENT": { HOST: new URL(clone.playlistUrl).host } }
          : cloneHlsPathway(text, { baseId: base, clone }),
      );
    }
    const manifest = {
      VERSION: 1,
      TTL: ttlSeconds,
      // Absolute: shaka-player does not take a relative one.
      "RELOAD-URI": `${request.origin}${serverUri(format, session, known)}`,
      "PATHWAY-PRIORITY": pathways.map(({ id }) => id),
      ...(clones.length > 0 && { "PATHWAY-CLONES": clones }),
    };
    return answer("application/json", JSON.stringify(manifest));
  };

  const query = z.object({ session: z.string(), known: z.string().optional() });
  const manifest = z.object({
    VERSION: z.literal(1),
    TTL: z.int(),
    "RELOAD-URI": z.string(),
    "PATHWAY-PRIORITY": z.array(z.string()),
    "PATHWAY-CLONES": z
      .array(z.object({ "BASE-ID": z.string(), ID: z.string(), "URI-REPLACEMENT": z.looseObject({ HOST: z.string().optional() }) }))
      .optional(),
  });
  const documentRoute = (format: Format): Route => ({
    name: "steering-document",
    methods: ["GET"],
    crossOrigin: true,
    description: {
      summary: "The title's entry document with the ranked appliances as pathways",
      call: "steerContent",
      query: query.pick({ session: true }),
      answer: z.string(),
      answerType: documentTypes[format],
    },
    answer: entryDocument(format),
  });
  const manifestRoute = (format: Format): Route => {
    const prefix = format === "hls" ? "_HLS" : "_DASH";
    const told = { [`${prefix}_pathway`]: z.string().optional(), [`${prefix}_throughput`]: z.string().optional() };
    return {
      name: "steering",
      methods: ["GET"],
      crossOrigin: true,
      description: { summary: "The steering manifest of a session", call: "steerContent", query: query.extend(told), answer: manifest },
      answer: steeringManifest(format),
    };
  };
  return new Map([
    ["/api/steering/master.m3u8", documentRoute("hls")],
    ["/api/steering/manifest.mpd", documentRoute("dash")],
    ["/api/steering/hls", manifestRoute("hls")],
    ["/api/steering/dash", manifestRoute("dash")],
  ]);
}

function toSteered({ pathwayId, dataUrl }: Pathway, path: string): SteeredPathway {
  return { id: pathwayId, playlistUrl: urlOf(dataUrl, path) };
}

/** HLS players put quotes around it, some. */
function unquoted(text: string): string {
  return text.replace(/^"|"$/g, "");
}

function answer(type: string, body: string): RouteAnswer {
  return { status: 200, headers: { "Content-Type": type, "Cache-Control": "no-store" }, body };
}
