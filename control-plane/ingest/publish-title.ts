// Tells the catalog of a title that the origin has.
import { credentials, Metadata, status, type ServiceError } from "@grpc/grpc-js";
import { OperatingError } from "../../runtime/operating-error.js";
import { CatalogServiceClient, type PublishTitleRequest } from "../protocol/generated/millrace/catalog/v1/catalog.js";

/** Long enough for a control plane that is just starting. */
const connectMs = 5_000;
const callMs = 30_000;

export interface Catalog {
  /** Adds the title, or replaces the one with its id. @throws OperatingError "catalog-refused" or "catalog-unreachable". */
  publish(request: PublishTitleRequest): Promise<void>;
  close(): void;
}

/** Connects to the catalog at `url` ("grpc://host:port"). @throws OperatingError "catalog-unreachable" when nobody answers in 5 s. */
export async function connectCatalog(url: string): Promise<Catalog> {
  const address = /^grpc:\/\/([^/]+:\d+)\/?$/.exec(url)?.[1];
  if (address === undefined) throw new OperatingError("url-invalid", `Cannot use control plane ${url}: expected grpc://host:port`);
  const client = new CatalogServiceClient(address, credentials.createInsecure());
  const failure = (code: string, reason: string, cause: unknown) =>
    new OperatingError(code, `Cannot publish to the control plane at ${url}: ${reason}`, { source: url, cause, retryable: true });
  try {
    await new Promise<void>((resolve, reject) => {
      client.waitForReady(Date.now() + connectMs, (error) => (error ? reject(error) : resolve()));
    });
  } catch (error) {
    client.close();
    throw failure("catalog-unreachable", `it did not answer within ${connectMs / 1000} s`, error);
  }
  return {
    publish: async (request) => {
      try {
        await new Promise<void>((resolve, reject) => {
          client.publishTitle(request, new Metadata(), { deadline: Date.now() + callMs }, (error) => (error ? reject(error) : resolve()));
        });
      } catch (error) {
        const { code, details } = error as ServiceError;
        const away = code === status.UNAVAILABLE || code === status.DEADLINE_EXCEEDED;
        throw failure(
          away ? "catalog-unreachable" : "catalog-refused",
          `${details}. The origin has the title: run the same command again`,
          error,
        );
      }
    },
    close: () => client.close(),
  };
}
