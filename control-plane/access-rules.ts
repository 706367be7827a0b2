// Who may call what: one row per method.
import { OperatingError } from "../runtime/operating-error.js";
import type { Caller } from "./caller.js";

export type Who = "anyone" | "account" | "operator" | "admin" | "appliance" | "service";

interface AccessRule {
  /** Any of them. An admin is an operator too. */
  allow: readonly Who[];
  /** Also where the settings ask for no authentication: it makes no sense without. */
  always?: true;
}

const anyone: AccessRule = { allow: ["anyone"] };
const account: AccessRule = { allow: ["account"], always: true };
const operator: AccessRule = { allow: ["operator"], always: true };
const admin: AccessRule = { allow: ["admin"], always: true };
const staff: AccessRule = { allow: ["operator", "service"] };
const appliance: AccessRule = { allow: ["appliance"] };

/** Service → method → rule. A method that is not here may be called by nobody. */
const accessRules: Readonly<Record<string, Readonly<Record<string, AccessRule>>>> = {
  "millrace.fleet.v1.FleetService": {
    Register: appliance,
    Heartbeat: appliance,
    RenewLease: appliance,
    RevokeSession: staff,
    ListAppliances: { allow: ["operator", "appliance", "service"] },
    FetchRegistry: { allow: ["operator", "appliance", "service"] },
  },
  "millrace.fill.v1.FillService": { FetchManifest: appliance, RankSources: appliance, ReportHoldings: appliance, ReportHeat: appliance },
  "millrace.catalog.v1.CatalogService": {
    PublishTitle: staff,
    ListTitles: anyone,
    GetTitle: anyone,
    PutTitleDetails: staff,
    GetTitleDetails: anyone,
    ListTitleDetails: anyone,
    SearchTitles: anyone,
  },
  "millrace.steering.v1.SteeringService": {
    RankAppliances: staff,
    ReleaseSession: staff,
    // Its session is signed.
    SteerContent: anyone,
  },
  "millrace.operation.v1.OperationService": {
    OrderAppliance: staff,
    ScheduleMaintenance: staff,
    CancelMaintenance: staff,
    ListMaintenance: staff,
    CheckTurnUp: { allow: ["operator", "appliance", "service"] },
  },
  "millrace.playback.v1.PlaybackService": { StartPlayback: { allow: ["account", "service"] } },
  "millrace.fillplan.v1.FillPlanService": {
    SummarizePlan: staff,
    ExplainObject: staff,
    SetEditorial: staff,
    MakePlan: staff,
    ListMisses: staff,
  },
  "millrace.billing.v1.BillingService": {
    ListPlans: anyone,
    SetBillingAccount: account,
    Subscribe: account,
    ChangePlan: account,
    Pause: account,
    Resume: account,
    Cancel: account,
    GetBilling: account,
    ListInvoices: account,
    KeepStream: account,
    GetEntitlement: staff,
    // Its signature says whose it is.
    TakeProviderEvent: anyone,
    PutPlan: operator,
    PutTaxRate: operator,
    PutCoupon: operator,
    Refund: operator,
    Reconcile: operator,
  },
  "millrace.login.v1.LoginService": {
    SignUp: anyone,
    VerifyEmail: anyone,
    SignIn: anyone,
    Refresh: anyone,
    SignOut: account,
    RequestPasswordReset: anyone,
    ResetPassword: anyone,
    ChangePassword: account,
    GetAccount: account,
    RemoveDevice: account,
    CreateProfile: account,
    UpdateProfile: account,
    DeleteProfile: account,
    ChooseProfile: account,
    ListAuditEvents: account,
    ListKeys: anyone,
    FindAccount: operator,
    SetAccount: admin,
    RotateKeys: admin,
  },
};

/** The rule for a path such as "/millrace.fleet.v1.FleetService/Register". */
export function accessRuleOf(path: string): AccessRule | undefined {
  const [, service = "", method = ""] = path.split("/");
  return accessRules[service]?.[method];
}

/** @throws OperatingError "unauthenticated" or "forbidden". */
export function checkAccess(path: string, caller: Caller, { required }: { required: boolean }): void {
  const rule = accessRuleOf(path);
  if (rule && (rule.allow.includes("anyone") || (!required && !rule.always))) return;
  const allowed = (rule?.allow ?? []).some((who) => isWho(caller, who));
  if (allowed) return;
  const isKnown = caller.account !== undefined || caller.applianceId !== undefined || caller.service !== undefined;
  const why = rule ? `it is for ${rule.allow.join(" or ")}` : "it has no row in access-rules.ts";
  throw new OperatingError(isKnown ? "forbidden" : "unauthenticated", `Cannot call ${path.slice(1)}: ${why}`);
}

function isWho({ account, applianceId, service }: Caller, who: Who): boolean {
  switch (who) {
    case "anyone":
      return true;
    case "account":
      return account !== undefined;
    case "operator":
      return account?.roles.some((role) => role === "operator" || role === "admin") ?? false;
    case "admin":
      return account?.roles.includes("admin") ?? false;
    case "appliance":
      return applianceId !== undefined;
    case "service":
      return service !== undefined;
  }
}

/** An appliance speaks for itself only. @throws OperatingError "forbidden". */
export function checkOwnAppliance(caller: Caller, request: unknown): void {
  if (caller.applianceId === undefined || typeof request !== "object" || request === null) return;
  const { applianceId, identity } = request as { applianceId?: unknown; identity?: { applianceId?: unknown } };
  const named = applianceId ?? identity?.applianceId;
  if (named !== undefined && named !== caller.applianceId) {
    throw new OperatingError("forbidden", `Cannot speak for another appliance than ${caller.applianceId}`);
  }
}
