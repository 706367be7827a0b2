// The appliance's calls to the control plane: gRPC with deadlines, as promises.
import { credentials, Metadata, type ClientUnaryCall, type ServiceError } from "@grpc/grpc-js";
import {
  FillServiceClient,
  type FetchManifestRequest,
  type FetchManifestResponse,
  type ReportHeatRequest,
  type ReportHeatResponse,
  type RankSourcesRequest,
  type RankSourcesResponse,
  type ReportHoldingsRequest,
  type ReportHoldingsResponse,
} from "../../fill-protocol/generated/millrace/fill/v1/fill.js";
import {
  FleetServiceClient,
  type HeartbeatRequest,
  type HeartbeatResponse,
  type RegisterRequest,
  type RegisterResponse,
  type RenewLeaseRequest,
  type RenewLeaseResponse,
} from "../../fill-protocol/generated/millrace/fleet/v1/fleet.js";
import { OperatingError } from "../../runtime/operating-error.js";

/** A control plane that does not answer within this is taken for away; the next heartbeat tries again. */
const callTimeoutMs = 3000;
/** A report of heat is a transaction of thousands of rows. */
const heatTimeoutMs = 10_000;
/** A manifest is streamed, and goes on with the next heartbeat when it takes longer than this. */
const manifestTimeoutMs = 60_000;
/** Reconnecting gets slower up to this, so that a control plane that comes back is found soon. */
const reconnectMaxMs = 2000;

export class ControlPlaneClient {
  readonly #fleet: FleetServiceClient;
  readonly #fill: FillServiceClient;

  readonly #key: string | undefined;

  /** `key` shows who we are, where the control plane asks. @throws OperatingError "settings-invalid" when `url` is not grpc://host:port. */
  constructor(url: string, key?: string) {
    this.#key = key;
    const parsed = URL.canParse(url) ? new URL(url) : undefined;
    if (parsed?.protocol !== "grpc:" || parsed.port === "") {
      throw new OperatingError("settings-invalid", `Cannot use control plane ${url}: expected grpc://host:port`, { source: url });
    }
    const options = { "grpc.initial_reconnect_backoff_ms": 200, "grpc.max_reconnect_backoff_ms": reconnectMaxMs };
    this.#fleet = new FleetServiceClient(parsed.host, credentials.createInsecure(), options);
    this.#fill = new FillServiceClient(parsed.host, credentials.createInsecure(), options);
  }

  register(request: RegisterRequest): Promise<RegisterResponse> {
    return call((done) => this.#fleet.register(request, this.#credentials(request.identity?.applianceId), deadline(callTimeoutMs), done));
  }

  heartbeat(request: HeartbeatRequest): Promise<HeartbeatResponse> {
    return call((done) => this.#fleet.heartbeat(request, this.#credentials(request.applianceId), deadline(callTimeoutMs), done));
  }

  renewLease(request: RenewLeaseRequest): Promise<RenewLeaseResponse> {
    return call((done) => this.#fleet.renewLease(request, this.#credentials(request.applianceId), deadline(callTimeoutMs), done));
  }

  reportHoldings(request: ReportHoldingsRequest): Promise<ReportHoldingsResponse> {
    return call((done) => this.#fill.reportHoldings(request, this.#credentials(request.applianceId), deadline(callTimeoutMs), done));
  }

  rankSources(request: RankSourcesRequest): Promise<RankSourcesResponse> {
    return call((done) => this.#fill.rankSources(request, this.#credentials(request.applianceId), deadline(callTimeoutMs), done));
  }

  reportHeat(request: ReportHeatRequest): Promise<ReportHeatResponse> {
    return call((done) => this.#fill.reportHeat(request, this.#credentials(request.applianceId), deadline(heatTimeoutMs), done));
  }

  /** The parts of a manifest, in order, as they come. */
  async *fetchManifest(request: FetchManifestRequest): AsyncGenerator<FetchManifestResponse> {
    for await (const part of this.#fill.fetchManifest(request, this.#credentials(request.applianceId), deadline(manifestTimeoutMs)))
      yield part as FetchManifestResponse;
  }

  #credentials(applianceId = ""): Metadata {
    const metadata = new Metadata();
    if (this.#key !== undefined) metadata.set("authorization", `Appliance ${applianceId}:${this.#key}`);
    return metadata;
  }

  close(): void {
    this.#fleet.close();
    this.#fill.close();
  }
}

function deadline(timeoutMs: number): { deadline: number } {
  return { deadline: Date.now() + timeoutMs };
}

function call<Response>(begin: (done: (error: ServiceError | null, response: Response) => void) => ClientUnaryCall): Promise<Response> {
  return new Promise((resolve, reject) => {
    begin((error, response) => (error ? reject(error) : resolve(response)));
  });
}
