// Holds real answers of a gateway against its OpenAPI document.
import assert from "node:assert/strict";
import { Ajv2020 } from "ajv/dist/2020.js";

interface Operation {
  responses: Record<string, { content?: Record<string, { schema: object }> }>;
}

export interface OpenApiDocument {
  openapi: string;
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: { Error: object } };
}

export interface OpenApiCheck {
  document: OpenApiDocument;
  /** Fails when the answer is not as the document says. `path` is without its query. */
  check(method: string, path: string, answer: { status: number; contentType: string | null; body: unknown }): void;
}

export async function readOpenApi(gatewayUrl: string): Promise<OpenApiCheck> {
  const response = await fetch(`${gatewayUrl}/api/openapi.json`);
  assert.equal(response.status, 200);
  const document = (await response.json()) as OpenApiDocument;
  const ajv = new Ajv2020({ strict: false, allErrors: true });
  return {
    document,
    check: (method, path, { status, contentType, body }) => {
      const operation = document.paths[path]?.[method.toLowerCase()];
      assert.ok(operation, `the document has no ${method} ${path}`);
      if (status !== 200) {
        assert.ok(ajv.validate(document.components.schemas.Error, body), `${method} ${path} ${status}: ${ajv.errorsText()}`);
        return;
      }
      const contents = Object.entries(operation.responses["200"]?.content ?? {});
      const content = contents.find(([type]) => contentType?.startsWith(type))?.[1];
      assert.ok(content, `${method} ${path} answers ${contentType}`);
      assert.ok(ajv.validate(content.schema, body), `${method} ${path}: ${ajv.errorsText()}: ${JSON.stringify(body)}`);
    },
  };
}
