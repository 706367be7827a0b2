// Asks a control plane over gRPC, with promises, a deadline on every call and our own errors.
import { connectivityState, credentials, Metadata, type CallOptions, type ClientUnaryCall, type ServiceError } from "@grpc/grpc-js";
import { FleetServiceClient } from "../fill-protocol/generated/millrace/fleet/v1/fleet.js";
import { OperatingError } from "../runtime/operating-error.js";
import { operatingErrorOf } from "./call-errors.js";
import { BillingServiceClient } from "./protocol/generated/millrace/billing/v1/billing.js";
import { FillPlanServiceClient } from "./protocol/generated/millrace/fillplan/v1/fill_plan.js";
import { CatalogServiceClient } from "./protocol/generated/millrace/catalog/v1/catalog.js";
import { OperationServiceClient } from "./protocol/generated/millrace/operation/v1/operation.js";
import { LoginServiceClient } from "./protocol/generated/millrace/login/v1/login.js";
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
  /** Ours, where the control plane has one for us in authentication.services. */
  serviceSecret?: string;
}

/** What goes with a call beside its request; empty and left out are the same. */
export interface CallFacts {
  requestId?: string;
  /** "Bearer ACCESS-TOKEN". */
  authorization?: string;
  /** The player's, when we stand in between. */
  clientAddress?: string;
  idempotencyKey?: string;
  /** Instead of the client's own. */
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
  readonly #serviceSecret: string;
  readonly #fleet: FleetServiceClient;
  readonly #catalog: CatalogServiceClient;
  readonly #playback: PlaybackServiceClient;
  readonly #fillPlan: FillPlanServiceClient;
  readonly #steering: SteeringServiceClient;
  readonly #operation: OperationServiceClient;
  readonly #login: LoginServiceClient;
  readonly #billing: BillingServiceClient;
  #hasAnswered = false;

  /** Connects at the first call. @throws OperatingError "control-plane-url-invalid". */
  constructor(url: string, { deadlineMs = callDeadlineMsDefault, serviceSecret = "" }: ControlPlaneClientOptions = {}) {
    const address = parseControlPlaneUrl(url);
    if (address === undefined) {
      throw new OperatingError(
        "control-plane-url-invalid",
        `Cannot ask the control plane: Expected a URL such as grpc://127.0.0.1:7000: received ${JSON.stringify(url)}`,
      );
    }
    this.url = url;
    this.#deadlineMs = deadlineMs;
    this.#serviceSecret = serviceSecret;
    const options = { "grpc.initial_reconnect_backoff_ms": reconnectFirstMs, "grpc.max_reconnect_backoff_ms": reconnectMaxMs };
    this.#fleet = new FleetServiceClient(address, credentials.createInsecure(), options);
    // All services over one connection.
    const shared = { ...options, channelOverride: this.#fleet.getChannel() };
    this.#catalog = new CatalogServiceClient(address, credentials.createInsecure(), shared);
    this.#fillPlan = new FillPlanServiceClient(address, credentials.createInsecure(), shared);
    this.#playback = new PlaybackServiceClient(address, credentials.createInsecure(), shared);
    this.#steering = new SteeringServiceClient(address, credentials.createInsecure(), shared);
    this.#operation = new OperationServiceClient(address, credentials.createInsecure(), shared);
    this.#login = new LoginServiceClient(address, credentials.createInsecure(), shared);
    this.#billing = new BillingServiceClient(address, credentials.createInsecure(), shared);
  }

  readonly listAppliances = this.#unary(() => this.#fleet.listAppliances.bind(this.#fleet));
  readonly revokeSession = this.#unary(() => this.#fleet.revokeSession.bind(this.#fleet));
  readonly publishTitle = this.#unary(() => this.#catalog.publishTitle.bind(this.#catalog));
  readonly listTitles = this.#unary(() => this.#catalog.listTitles.bind(this.#catalog));
  readonly getTitle = this.#unary(() => this.#catalog.getTitle.bind(this.#catalog));
  readonly putTitleDetails = this.#unary(() => this.#catalog.putTitleDetails.bind(this.#catalog));
  readonly getTitleDetails = this.#unary(() => this.#catalog.getTitleDetails.bind(this.#catalog));
  readonly listTitleDetails = this.#unary(() => this.#catalog.listTitleDetails.bind(this.#catalog));
  readonly searchTitles = this.#unary(() => this.#catalog.searchTitles.bind(this.#catalog));
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
  readonly signUp = this.#unary(() => this.#login.signUp.bind(this.#login));
  readonly verifyEmail = this.#unary(() => this.#login.verifyEmail.bind(this.#login));
  readonly signIn = this.#unary(() => this.#login.signIn.bind(this.#login));
  readonly refresh = this.#unary(() => this.#login.refresh.bind(this.#login));
  readonly signOut = this.#unary(() => this.#login.signOut.bind(this.#login));
  readonly requestPasswordReset = this.#unary(() => this.#login.requestPasswordReset.bind(this.#login));
  readonly resetPassword = this.#unary(() => this.#login.resetPassword.bind(this.#login));
  readonly changePassword = this.#unary(() => this.#login.changePassword.bind(this.#login));
  readonly getAccount = this.#unary(() => this.#login.getAccount.bind(this.#login));
  readonly removeDevice = this.#unary(() => this.#login.removeDevice.bind(this.#login));
  readonly createProfile = this.#unary(() => this.#login.createProfile.bind(this.#login));
  readonly updateProfile = this.#unary(() => this.#login.updateProfile.bind(this.#login));
  readonly deleteProfile = this.#unary(() => this.#login.deleteProfile.bind(this.#login));
  readonly chooseProfile = this.#unary(() => this.#login.chooseProfile.bind(this.#login));
  readonly listAuditEvents = this.#unary(() => this.#login.listAuditEvents.bind(this.#login));
  readonly listKeys = this.#unary(() => this.#login.listKeys.bind(this.#login));
  readonly findAccount = this.#unary(() => this.#login.findAccount.bind(this.#login));
  readonly setAccount = this.#unary(() => this.#login.setAccount.bind(this.#login));
  readonly rotateKeys = this.#unary(() => this.#login.rotateKeys.bind(this.#login));

  readonly listPlans = this.#unary(() => this.#billing.listPlans.bind(this.#billing));
  readonly setBillingAccount = this.#unary(() => this.#billing.setBillingAccount.bind(this.#billing));
  readonly subscribe = this.#unary(() => this.#billing.subscribe.bind(this.#billing));
  readonly changePlan = this.#unary(() => this.#billing.changePlan.bind(this.#billing));
  readonly pause = this.#unary(() => this.#billing.pause.bind(this.#billing));
  readonly resume = this.#unary(() => this.#billing.resume.bind(this.#billing));
  readonly cancel = this.#unary(() => this.#billing.cancel.bind(this.#billing));
  readonly getBilling = this.#unary(() => this.#billing.getBilling.bind(this.#billing));
  readonly listInvoices = this.#unary(() => this.#billing.listInvoices.bind(this.#billing));
  readonly keepStream = this.#unary(() => this.#billing.keepStream.bind(this.#billing));
  readonly takeProviderEvent = this.#unary(() => this.#billing.takeProviderEvent.bind(this.#billing));
  readonly putPlan = this.#unary(() => this.#billing.putPlan.bind(this.#billing));
  readonly putTaxRate = this.#unary(() => this.#billing.putTaxRate.bind(this.#billing));
  readonly putCoupon = this.#unary(() => this.#billing.putCoupon.bind(this.#billing));
  readonly refund = this.#unary(() => this.#billing.refund.bind(this.#billing));
  readonly reconcileBilling = this.#unary(() => this.#billing.reconcile.bind(this.#billing));

  /** Whether the connection stands; asking opens it. */
  isConnected(): boolean {
    return this.#fleet.getChannel().getConnectivityState(true) === connectivityState.READY;
  }

  /** Whether it has answered any call so far, were it with a refusal. */
  hasAnswered(): boolean {
    return this.#hasAnswered;
  }

  /** What the copy says of itself by gRPC's health service; "away" when it does not say it in time. */
  checkHealth(deadlineMs: number): Promise<"serving" | "draining" | "away"> {
    return new Promise((resolve) => {
      const options = { deadline: Date.now() + deadlineMs };
      // An empty request is about the whole server. In the answer, field 1 is the status, and 1 of it is SERVING.
      this.#fleet.makeUnaryRequest(
        "/grpc.health.v1.Health/Check",
        () => Buffer.alloc(0),
        (bytes) => bytes,
        {},
        new Metadata(),
        options,
        (error, answer) => {
          if (error || !answer) return resolve("away");
          resolve(answer[0] === 0x08 && answer[1] === 0x01 ? "serving" : "draining");
        },
      );
    });
  }

  close(): void {
    this.#fleet.close();
  }

  /** A call that rejects with an OperatingError: see `operatingErrorOf` for its codes. */
  #unary<Request, Response>(
    method: () => UnaryMethod<Request, Response>,
  ): (request: Request, facts?: string | CallFacts) => Promise<Response> {
    return (request, facts = {}) =>
      new Promise((resolve, reject) => {
        const metadata = new Metadata();
        const { requestId, authorization, clientAddress, idempotencyKey } = typeof facts === "string" ? { requestId: facts } : facts;
        const entries = {
          "x-request-id": requestId,
          authorization,
          "x-client-address": clientAddress,
          "idempotency-key": idempotencyKey,
          "x-service-secret": this.#serviceSecret,
        };
        for (const [key, value] of Object.entries(entries)) {
          if (!value) continue;
          // From a header of whoever; gRPC takes printable ASCII only.
          if (!/^[\x20-\x7e]{1,4200}$/.test(value)) {
            throw new OperatingError("invalid-argument", `Cannot pass ${key} on: Expected up to 4,200 printable ASCII characters`);
          }
          metadata.set(key, value);
        }
        const deadlineMs = (typeof facts === "string" ? undefined : facts.deadlineMs) ?? this.#deadlineMs;
        method()(request, metadata, { deadline: Date.now() + deadlineMs }, (error, response) => {
          const failure = error && operatingErrorOf(error, this.url);
          if (failure?.code !== "control-plane-away") this.#hasAnswered = true;
          if (failure) reject(failure);
          else resolve(response);
        });
      });
  }
}
