// The OpenAPI 3.1 document, made from the routes: what they check and answer is what it says.
import { z } from "zod";
import { FleetServiceService } from "../../fill-protocol/generated/millrace/fleet/v1/fleet.js";
import { accessRuleOf } from "../access-rules.js";
import { BillingServiceService } from "../protocol/generated/millrace/billing/v1/billing.js";
import { CatalogServiceService } from "../protocol/generated/millrace/catalog/v1/catalog.js";
import { FillPlanServiceService } from "../protocol/generated/millrace/fillplan/v1/fill_plan.js";
import { LoginServiceService } from "../protocol/generated/millrace/login/v1/login.js";
import { OperationServiceService } from "../protocol/generated/millrace/operation/v1/operation.js";
import { PlaybackServiceService } from "../protocol/generated/millrace/playback/v1/playback.js";
import { SteeringServiceService } from "../protocol/generated/millrace/steering/v1/steering.js";
import type { Route } from "./http-app.js";
import type { RouteDescription } from "./json-route.js";
import { callTable, type CallName } from "./services/call-table.js";

const apiVersion = "1.0.0";

const methods: Readonly<Record<string, { path: string }>> = {
  ...FleetServiceService,
  ...CatalogServiceService,
  ...PlaybackServiceService,
  ...SteeringServiceService,
  ...OperationServiceService,
  ...FillPlanServiceService,
  ...LoginServiceService,
  ...BillingServiceService,
  reconcileBilling: BillingServiceService.reconcile,
};

const errorSchema = z.object({ error: z.object({ code: z.string(), message: z.string() }) });

/** All of them may come of any route; the codes are in docs/gateway.md. */
const errors = {
  "400": "The request is not as it should be",
  "401": "No account, or not a good one: sign in",
  "403": "Not for this account",
  "429": "Too many requests: see Retry-After",
  "503": "The service behind can't be asked now: see Retry-After",
  default: "Refused: error.code says why",
} as const;

/** The document as JSON. Routes without a description (pages, assets) are not in it. */
export function makeOpenApi(routes: ReadonlyMap<string, Route>): Record<string, unknown> {
  const paths: Record<string, Record<string, unknown>> = {};
  for (const [path, { methods, description }] of routes) {
    if (!description) continue;
    paths[path] = Object.fromEntries(methods.map((method) => [method.toLowerCase(), operation(path, method, description)]));
  }
  return {
    openapi: "3.1.0",
    info: { title: "Millrace gateway", version: apiVersion, description: "Amounts of money are text of whole minor units." },
    servers: [{ url: "/" }],
    paths,
    components: {
      schemas: { Error: schemaOf(errorSchema, "output") },
      securitySchemes: { accessToken: { type: "http", scheme: "bearer", bearerFormat: "JWT" } },
      responses: Object.fromEntries(
        Object.entries(errors).map(([status, description]) => [
          responseName(status),
          { description, content: { "application/json": { schema: { $ref: "#/components/schemas/Error" } } } },
        ]),
      ),
    },
  };
}

function operation(path: string, method: string, { summary, call, query, body, answer, answerType }: RouteDescription) {
  const parameters = [...(query ? queryParameters(query) : []), ...(call && callTable[call].repeat === "with-key" ? [keyParameter] : [])];
  return {
    operationId: `${method.toLowerCase()}${path.replace(/[^a-z0-9]+(\w?)/gi, (_, letter: string) => letter.toUpperCase())}`,
    summary,
    tags: [call ? callTable[call].service : "gateway"],
    ...(call && accessOf(call)),
    ...(parameters.length > 0 && { parameters }),
    ...(body && { requestBody: { required: true, content: { "application/json": { schema: schemaOf(body, "input") } } } }),
    responses: {
      "200": { description: "Answered", content: { [answerType ?? "application/json"]: { schema: schemaOf(answer, "output") } } },
      ...Object.fromEntries(Object.keys(errors).map((status) => [status, { $ref: `#/components/responses/${responseName(status)}` }])),
    },
  };
}

/** From the control plane's own rules. An empty requirement beside the token: it can do without. */
function accessOf(call: CallName): Record<string, unknown> {
  const { allow, always } = accessRuleOf(methods[call]!.path)!;
  if (allow.includes("anyone")) return { security: [] };
  return { security: always ? [{ accessToken: [] }] : [{ accessToken: [] }, {}], description: `For: ${allow.join(", ")}.` };
}

const keyParameter = {
  name: "Idempotency-Key",
  in: "header",
  description: "Said again with the same key, the request is done once and answered the same.",
  schema: { type: "string", maxLength: 128 },
};

function queryParameters(query: z.ZodObject) {
  return Object.entries(query.shape).map(([name, schema]) => ({
    name,
    in: "query",
    required: !(schema as z.ZodType).safeParse(undefined).success,
    schema: schemaOf(schema as z.ZodType, "input"),
  }));
}

function schemaOf(schema: z.ZodType, io: "input" | "output"): Record<string, unknown> {
  const { $schema: _, ...json } = z.toJSONSchema(schema, { io, target: "draft-2020-12" });
  return json;
}

function responseName(status: string): string {
  return status === "default" ? "Refused" : `Status${status}`;
}
