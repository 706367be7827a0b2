// Which bitrate rules there are, under which names.
import type { BitrateRule } from "./bitrate-rule.js";
import { BolaRule } from "./bola-rule.js";
import { ThroughputRule } from "./throughput-rule.js";

export const ruleTable = {
  bola: { create: (): BitrateRule => new BolaRule() },
  throughput: { create: (): BitrateRule => new ThroughputRule() },
} as const;

export type RuleName = keyof typeof ruleTable;

export const ruleNames = Object.keys(ruleTable) as readonly RuleName[];
