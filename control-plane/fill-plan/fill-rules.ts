// The escalation steps of masters and of the other members of a cluster, from the settings.
import type { FillPlanSettings } from "../settings.js";
import type { EscalationRule, FillRules, Scope } from "./source-ranking.js";

/** Any distance: sources come near first. */
const anyHops = 0;

export function fillRulesOf({ masters, escalation }: Pick<FillPlanSettings, "masters" | "escalation">): FillRules {
  const { masterOriginWait, memberTierWait, memberOriginWait, tierRate = 0, originRate = 0 } = escalation;
  const step = (scope: Scope, waitMs: number, maxBytesPerSecond = 0): EscalationRule => ({
    scope,
    maxHops: anyHops,
    waitSeconds: Math.ceil(waitMs / 1000),
    maxBytesPerSecond,
  });
  return {
    masters,
    masterSteps: [step("cluster", 0), step("tier", 0, tierRate), step("origin", masterOriginWait, originRate)],
    memberSteps: [step("cluster", 0), step("tier", memberTierWait, tierRate), step("origin", memberOriginWait, originRate)],
  };
}
