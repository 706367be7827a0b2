// Every call that the gateway may make: whose it is, and whether it may be made again when its answer was lost.
import type { ControlPlaneClient } from "../../control-plane-client.js";

export const serviceNames = ["catalog", "playback", "login", "billing", "fleet", "steering", "operation", "fill-plan"] as const;
export type ServiceName = (typeof serviceNames)[number];

/** `always`: it changes nothing, or twice is as good as once. `with-key`: its Idempotency-Key makes it so. */
type Repeat = "always" | "with-key" | "never";

interface CallRule {
  service: ServiceName;
  repeat: Repeat;
}

const rule = (service: ServiceName, repeat: Repeat): CallRule => ({ service, repeat });

type UnaryCall = (request: never, facts?: never) => Promise<unknown>;
export type CallName = Exclude<
  { [Name in keyof ControlPlaneClient]: ControlPlaneClient[Name] extends UnaryCall ? Name : never }[keyof ControlPlaneClient],
  "checkHealth"
>;

/** What the routes ask of the control plane. */
export type ControlPlaneCalls = Pick<ControlPlaneClient, CallName>;

export const callTable: Readonly<Record<CallName, CallRule>> = {
  listAppliances: rule("fleet", "always"),
  revokeSession: rule("fleet", "always"),
  publishTitle: rule("catalog", "never"),
  listTitles: rule("catalog", "always"),
  getTitle: rule("catalog", "always"),
  putTitleDetails: rule("catalog", "always"),
  getTitleDetails: rule("catalog", "always"),
  listTitleDetails: rule("catalog", "always"),
  searchTitles: rule("catalog", "always"),
  // A lost answer leaves a stream's slot taken until it is not kept (60 s), whoever asks again.
  startPlayback: rule("playback", "always"),
  rankAppliances: rule("steering", "always"),
  releaseSession: rule("steering", "always"),
  steerContent: rule("steering", "always"),
  orderAppliance: rule("operation", "never"),
  scheduleMaintenance: rule("operation", "never"),
  cancelMaintenance: rule("operation", "never"),
  listMaintenance: rule("operation", "always"),
  checkTurnUp: rule("operation", "always"),
  summarizePlan: rule("fill-plan", "always"),
  explainObject: rule("fill-plan", "always"),
  setEditorial: rule("fill-plan", "never"),
  makePlan: rule("fill-plan", "never"),
  listMisses: rule("fill-plan", "always"),
  signUp: rule("login", "never"),
  verifyEmail: rule("login", "never"),
  // Asked twice it would count as two guesses.
  signIn: rule("login", "never"),
  // Within its grace a rotated refresh token is answered as the first time.
  refresh: rule("login", "always"),
  signOut: rule("login", "never"),
  requestPasswordReset: rule("login", "never"),
  resetPassword: rule("login", "never"),
  changePassword: rule("login", "never"),
  getAccount: rule("login", "always"),
  removeDevice: rule("login", "never"),
  createProfile: rule("login", "with-key"),
  updateProfile: rule("login", "always"),
  deleteProfile: rule("login", "never"),
  chooseProfile: rule("login", "always"),
  listAuditEvents: rule("login", "always"),
  listKeys: rule("login", "always"),
  findAccount: rule("login", "always"),
  setAccount: rule("login", "always"),
  rotateKeys: rule("login", "never"),
  listPlans: rule("billing", "always"),
  setBillingAccount: rule("billing", "with-key"),
  subscribe: rule("billing", "with-key"),
  changePlan: rule("billing", "with-key"),
  pause: rule("billing", "with-key"),
  resume: rule("billing", "with-key"),
  cancel: rule("billing", "with-key"),
  getBilling: rule("billing", "always"),
  listInvoices: rule("billing", "always"),
  keepStream: rule("billing", "always"),
  // The provider says each event until it is answered: the books take it once.
  takeProviderEvent: rule("billing", "always"),
  putPlan: rule("billing", "always"),
  putTaxRate: rule("billing", "always"),
  putCoupon: rule("billing", "always"),
  refund: rule("billing", "with-key"),
  reconcileBilling: rule("billing", "always"),
};

/** Whether a call may be made again. */
export function mayRepeat(name: CallName, idempotencyKey: string | undefined): boolean {
  const { repeat } = callTable[name];
  return repeat === "always" || (repeat === "with-key" && Boolean(idempotencyKey));
}
