// Which bitrate rules there are, under which names.
import type { BitrateRule } from "./bitrate-rule.js";
import { BolaRule } from "./bola-rule.js";
import type { RuleName } from "./rule-names.js";
import { ThroughputRule } from "./throughput-rule.js";

export const ruleTable = {
  bola: { create: (): BitrateRule => new BolaRule() },
  throughput: { create: (): BitrateRule => new ThroughputRule() },
} as const satisfies Record<RuleName, object>;
