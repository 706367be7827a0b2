// A route of the API from its schemas: they check what comes in, type what goes out, and are what the OpenAPI document says.
import { z } from "zod";
import { OperatingError } from "../../runtime/operating-error.js";
import type { CallFacts } from "../control-plane-client.js";
import type { Route, RouteAnswer, RouteRequest } from "./http-app.js";
import { parseJsonBody } from "./json-body.js";
import type { CallName } from "./services/call-table.js";

/** What the OpenAPI document says of a route. */
export interface RouteDescription {
  summary: string;
  /** The call that it makes: tells its service, who may make it, and whether it takes an Idempotency-Key. */
  call?: CallName;
  query?: z.ZodObject;
  body?: z.ZodType;
  /** Of the answer with status 200. */
  answer: z.ZodType;
  /** "application/json" unless it says otherwise. */
  answerType?: string;
}

interface JsonRoute<Answer extends z.ZodType> {
  /** For metrics. */
  name: string;
  summary: string;
  call?: CallName;
  answer: Answer;
  /** Pages of other origins may call it; unless it says no. */
  crossOrigin?: boolean;
  headers?: Readonly<Record<string, string>>;
}

export interface GetRoute<Query extends z.ZodObject, Answer extends z.ZodType> extends JsonRoute<Answer> {
  query?: Query;
  work: (query: z.output<Query>, facts: CallFacts) => Promise<z.input<Answer>> | z.input<Answer>;
}

export interface PostRoute<Body extends z.ZodType, Answer extends z.ZodType> extends JsonRoute<Answer> {
  body: Body;
  work: (body: z.output<Body>, facts: CallFacts) => Promise<z.input<Answer>>;
}

/** An answer that says only that it is done. */
export const nothing: z.ZodType<object, object> = z.object({});

const noStore = { "Content-Type": "application/json", "Cache-Control": "no-store" };

export function getRoute<Query extends z.ZodObject, Answer extends z.ZodType>(options: GetRoute<Query, Answer>): Route {
  const { query: schema, work, headers } = options;
  return route(options, "GET", {
    description: schema === undefined ? {} : { query: schema },
    answer: async (request) => {
      const query = schema === undefined ? {} : parseQuery(request.query, schema);
      return json(await work(query as z.output<Query>, callFactsOf(request)), headers);
    },
  });
}

export function postRoute<Body extends z.ZodType, Answer extends z.ZodType>(options: PostRoute<Body, Answer>): Route {
  const { body: schema, work, headers } = options;
  return route(options, "POST", {
    description: { body: schema },
    answer: async (request) => json(await work(parseJsonBody(request.body, schema), callFactsOf(request)), headers),
  });
}

function route(
  { name, summary, call, answer, crossOrigin, headers }: JsonRoute<z.ZodType>,
  method: "GET" | "POST",
  made: { description: Pick<RouteDescription, "query" | "body">; answer: (request: RouteRequest) => Promise<RouteAnswer> },
): Route {
  const answerType = headers?.["Content-Type"];
  return {
    name,
    methods: [method],
    crossOrigin: crossOrigin ?? true,
    answer: made.answer,
    description: { summary, answer, ...made.description, ...(call && { call }), ...(answerType && { answerType }) },
  };
}

/** What goes on to the control plane beside the request: who asks is for it to judge, not for the gateway. */
export function callFactsOf({ requestId, authorization, clientAddress, idempotencyKey }: RouteRequest): CallFacts {
  return { requestId, authorization, clientAddress, idempotencyKey };
}

function json(value: unknown, headers: Readonly<Record<string, string>> = {}): RouteAnswer {
  return { status: 200, headers: { ...noStore, ...headers }, body: JSON.stringify(value) };
}

/** Keys that the schema does not name are left out. @throws OperatingError "invalid-argument". */
function parseQuery(query: URLSearchParams, schema: z.ZodObject): unknown {
  const result = schema.safeParse(Object.fromEntries(query));
  if (result.success) return result.data;
  const mistakes = result.error.issues.map(({ path, message }) => `${path.join(".")}: ${message}`);
  throw new OperatingError("invalid-argument", `Cannot read the query: ${mistakes.join("; ")}`);
}
