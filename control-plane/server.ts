// The gRPC server: services, health, reflection, limits, orderly end.
import { join } from "node:path";
import { Server, ServerCredentials, type ServiceDefinition, type UntypedServiceImplementation } from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import { ReflectionService } from "@grpc/reflection";
import { HealthImplementation } from "grpc-health-check";
import { OperatingError } from "../runtime/operating-error.js";
import { packageRoot } from "../runtime/package-root.js";

/** A title with 10,000 objects, or a report of 20,000 holdings, is below it. */
const messageMaxBytes = 4 * 2 ** 20;
/** Calls at once on one connection; more wait at the caller. */
const concurrentCallsMax = 1000;
/** A connection whose other end has vanished is found within the sum of both. */
const keepaliveEveryMs = 30_000;
const keepaliveTimeoutMs = 10_000;
/** After it, calls that still run when the server stops are cut. */
const drainMaxMs = 5000;

const protoFolders = [join(packageRoot, "fill-protocol/proto"), join(packageRoot, "control-plane/protocol/proto")];
const protoFiles = [
  "millrace/fleet/v1/fleet.proto",
  "millrace/fill/v1/fill.proto",
  "millrace/fillplan/v1/fill_plan.proto",
  "millrace/catalog/v1/catalog.proto",
  "millrace/steering/v1/steering.proto",
  "millrace/playback/v1/playback.proto",
  "millrace/operation/v1/operation.proto",
  "millrace/login/v1/login.proto",
  "millrace/billing/v1/billing.proto",
  "google/rpc/error_details.proto",
];

export interface GrpcService {
  definition: ServiceDefinition;
  implementation: UntypedServiceImplementation;
}

export interface GrpcServer {
  /** The port that was taken. */
  port: number;
  /** Says NOT_SERVING, finishes the calls that run (for 5 s at most), closes. */
  drain(): Promise<void>;
}

/** @throws OperatingError "listen-failed". */
export async function openGrpcServer(listen: { host: string; port: number }, services: readonly GrpcService[]): Promise<GrpcServer> {
  const server = new Server({
    "grpc.max_receive_message_length": messageMaxBytes,
    "grpc.max_send_message_length": messageMaxBytes,
    "grpc.max_concurrent_streams": concurrentCallsMax,
    "grpc.keepalive_time_ms": keepaliveEveryMs,
    "grpc.keepalive_timeout_ms": keepaliveTimeoutMs,
    // Two processes on one port would share its connections by turns: refuse the second.
    "grpc.so_reuseport": 0,
  });
  for (const { definition, implementation } of services) server.addService(definition, implementation);
  // "" stands for the whole server.
  const names = ["", ...services.map(({ definition }) => serviceNameOf(definition))];
  const health = new HealthImplementation(Object.fromEntries(names.map((name) => [name, "SERVING"])));
  health.addToServer(server);
  new ReflectionService(loadSync(protoFiles, { includeDirs: protoFolders, keepCase: true })).addToServer(server);

  const host = listen.host.includes(":") ? `[${listen.host}]` : listen.host;
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync(`${host}:${listen.port}`, ServerCredentials.createInsecure(), (error, port) => {
      if (!error) return resolve(port);
      const taken = error.message.includes("EADDRINUSE");
      const why = taken ? "the port is taken by another process" : error.message;
      reject(
        new OperatingError(taken ? "port-taken" : "listen-failed", `Cannot listen on ${host}:${listen.port}: ${why}`, {
          source: `${host}:${listen.port}`,
          cause: error,
        }),
      );
    });
  });
  return {
    port,
    drain: () =>
      new Promise((resolve) => {
        for (const name of names) health.setStatus(name, "NOT_SERVING");
        const cut = setTimeout(() => server.forceShutdown(), drainMaxMs);
        server.tryShutdown(() => {
          clearTimeout(cut);
          resolve();
        });
      }),
  };
}

/** "millrace.fleet.v1.FleetService" of a service whose methods have paths such as "/millrace.fleet.v1.FleetService/Register". */
function serviceNameOf(definition: ServiceDefinition): string {
  return Object.values(definition)[0]!.path.split("/")[1]!;
}
