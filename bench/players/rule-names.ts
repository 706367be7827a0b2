// The names of the bitrate rules. Imports nothing, for the command line's help.

export const ruleNames = ["bola", "throughput"] as const;
export type RuleName = (typeof ruleNames)[number];
