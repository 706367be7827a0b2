// A catalog over real gRPC that keeps what it is told, for tests of those who tell it.
import { Server, ServerCredentials, status } from "@grpc/grpc-js";
import {
  CatalogServiceService,
  type CatalogServiceServer,
  type PublishTitleRequest,
} from "../../control-plane/protocol/generated/millrace/catalog/v1/catalog.js";

export interface CatalogRecorder {
  /** "grpc://127.0.0.1:port" */
  url: string;
  published: PublishTitleRequest[];
  /** While set, every publish is refused with these words. */
  refusal: string | undefined;
  close(): void;
}

export async function openCatalogRecorder(): Promise<CatalogRecorder> {
  const server = new Server();
  const recorder: CatalogRecorder = { url: "", published: [], refusal: undefined, close: () => server.forceShutdown() };
  const refuse = { code: status.UNIMPLEMENTED, details: "not recorded" };
  const service: CatalogServiceServer = {
    publishTitle: (call, callback) => {
      if (recorder.refusal !== undefined) return callback({ code: status.INVALID_ARGUMENT, details: recorder.refusal });
      recorder.published.push(call.request);
      callback(null, { title: call.request.title });
    },
    listTitles: (_, callback) => callback(refuse),
    getTitle: (_, callback) => callback(refuse),
    putTitleDetails: (_, callback) => callback(refuse),
    getTitleDetails: (_, callback) => callback(refuse),
    listTitleDetails: (_, callback) => callback(refuse),
    searchTitles: (_, callback) => callback(refuse),
  };
  server.addService(CatalogServiceService, service);
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) => (error ? reject(error) : resolve(port)));
  });
  recorder.url = `grpc://127.0.0.1:${port}`;
  return recorder;
}
