// Asks a control plane over gRPC, with promises, a deadline on every call and our own errors.
import { connectivityState, credentials, Metadata, type CallOptions, type ClientUnaryCall, type ServiceError } from "@grpc/grpc-js";
import { FleetServiceClient } from "../fill-protocol/generated/millrace/fleet/v1/fleet.js";
import { OperatingError } from "../runtime/operating-error.js";
import { operatingErrorOf } from "./call-errors.js";
import { FillPlanServiceClient } from "./protocol/generated/millrace/fillplan/v1/fill_plan.js";
import { CatalogServiceClient } from "./protocol/generated/millrace/catalog/v1/catalog.js";
import { OperationServiceClient } from "./protocol/generated/millrace/operation/v1/operation.js";
import { PlaybackServiceClient } from "./protocol/generated/millrace/playback/v1/playback.js";
import { SteeringServiceClient } from "./protocol/generated/millrace/steering/v1/steering.js";

/** Every call is answered or given up by then, unless told otherwise: a player waits for it. */
const callDeadlineMsDefault = 2000;
/** A control plane that is back is found within the longer of the two. */
const reconnectFirstMs = 100;
const reconnectMaxMs = 1000;

type UnaryMethod<Request, Response> = (
  request: Request,
  metadata: Metadata,
  options: Partial<CallOptions>,
  callback: (error: ServiceError | null, response: Response) => void,
) => ClientUnaryCall;

export interface ControlPlaneClientOptions {
  deadlineMs?: number;
}

/** "127.0.0.1:7000" of "grpc://127.0.0.1:7000"; undefined when `url` is not such a URL. */
export function parseControlPlaneUrl(url: string): string | undefined {
  const match = /^grpc:\/\/([^/?#@\s]+:\d{1,5})\/?$/.exec(url);
  return match?.[1];
}

export class ControlPlaneClient {
  readonly url: string;
  readonly #deadlineMs: number;
  readonly #fleet: FleetServiceClient;
  readonly #catalog: CatalogServiceClient;
  readonly #playback: PlaybackServiceClient;
  readonly #fillPlan: FillPlanServiceClient;
  readonly #steering: SteeringServiceClient;
  readonly #operation: OperationServiceClient;
  #hasAnswered = false;

  /** Connects at the first call. @throws OperatingError "control-plane-url-invalid". */
  constructor(url: string, { deadlineMs = callDeadlineMsDefault }: ControlPlaneClientOptions = {}) {
    const address = parseControlPlaneUrl(url);
    if (address === undefined) {
      throw new OperatingError(
        "control-plane-url-invalid",
        `Cannot ask the control plane: Expected a URL such as grpc://127.0.0.1:7000: received ${JSON.stringify(url)}`,
      );
    }
    this.url = url;
    this.#deadlineMs = deadlineMs;
    const options = { "grpc.initial_reconnect_backoff_ms": reconnectFirstMs, "grpc.max_reconnect_backoff_ms": reconnectMaxMs };
    this.#fleet = new FleetServiceClient(address, credentials.createInsecure(), options);
    // All services over one connection.
    const shared = { ...options, channelOverride: this.#fleet.getChannel() };
    this.#catalog = new CatalogServiceClient(address, credentials.createInsecure(), shared);
    this.#fillPlan = new FillPlanServiceClient(address, credentials.createInsecure(), shared);
    this.#playback = new PlaybackServiceClient(address, credentials.createInsecure(), shared);
    this.#steering = new SteeringServiceClient(address, credentials.createInsecure(), shared);
    this.#operation = new OperationServiceClient(address, credentials.createInsecure(), shared);
  }

  readonly listAppliances = this.#unary(() => this.#fleet.listAppliances.bind(this.#fleet));
  readonly revokeSession = this.#unary(() => this.#fleet.revokeSession.bind(this.#fleet));
  readonly publishTitle = this.#unary(() => this.#catalog.publishTitle.bind(this.#catalog));
  readonly listTitles = this.#unary(() => this.#catalog.listTitles.bind(this.#catalog));
  readonly getTitle = this.#unary(() => this.#catalog.getTitle.bind(this.#catalog));
  readonly startPlayback = this.#unary(() => this.#playback.startPlayback.bind(this.#playback));
  readonly summarizePlan = this.#unary(() => this.#fillPlan.summarizePlan.bind(this.#fillPlan));
  readonly explainObject = this.#unary(() => this.#fillPlan.explainObject.bind(this.#fillPlan));
  readonly setEditorial = this.#unary(() => this.#fillPlan.setEditorial.bind(this.#fillPlan));
  readonly makePlan = this.#unary(() => this.#fillPlan.makePlan.bind(this.#fillPlan));
  readonly listMisses = this.#unary(() => this.#fillPlan.listMisses.bind(this.#fillPlan));
  readonly rankAppliances = this.#unary(() => this.#steering.rankAppliances.bind(this.#steering));
  readonly orderAppliance = this.#unary(() => this.#operation.orderAppliance.bind(this.#operation));
  readonly scheduleMaintenance = this.#unary(() => this.#operation.scheduleMaintenance.bind(this.#operation));
  readonly cancelMaintenance = this.#unary(() => this.#operation.cancelMaintenance.bind(this.#operation));
  readonly listMaintenance = this.#unary(() => this.#operation.listMaintenance.bind(this.#operation));
  readonly checkTurnUp = this.#unary(() => this.#operation.checkTurnUp.bind(this.#operation));
  readonly releaseSession = this.#unary(() => this.#steering.releaseSession.bind(this.#steering));
  readonly steerContent = this.#unary(() => this.#steering.steerContent.bind(this.#steering));

  /** Whether the connection stands; asking opens it. */
  isConnected(): boolean {
    return this.#fleet.getChannel().getConnectivityState(true) === connectivityState.READY;
  }

  /** Whether it has answered any call so far, were it with a refusal. */
  hasAnswered(): boolean {
    return this.#hasAnswered;
  }

  close(): void {
    this.#fleet.close();
  }

  /** A call that rejects with an OperatingError: see `operatingErrorOf` for its codes. */
  #unary<Request, Response>(method: () => UnaryMethod<Request, Response>): (request: Request, requestId?: string) => Promise<Response> {
    return (request, requestId) =>
      new Promise((resolve, reject) => {
        const metadata = new Metadata();
        if (requestId !== undefined) metadata.set("x-request-id", requestId);
        method()(request, metadata, { deadline: Date.now() + this.#deadlineMs }, (error, response) => {
          const failure = error && operatingErrorOf(error, this.url);
          if (failure?.code !== "control-plane-away") this.#hasAnswered = true;
          if (failure) reject(failure);
          else resolve(response);
        });
      });
  }
}
