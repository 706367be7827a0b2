// The escalation steps of before, in a file: an appliance that starts while the control plane is away, or before it has answered, does not
// storm the origin.
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from "node:fs";
import { z } from "zod";
import type { EscalationStep } from "../fill/escalation.js";

const stepsSchema = z.array(
  z.object({
    scope: z.enum(["cluster", "tier", "origin"]),
    maxHops: z.number(),
    waitSeconds: z.number(),
    maxBytesPerSecond: z.number(),
  }),
);
const rulesSchema = z.object({ master: stepsSchema.optional(), member: stepsSchema.optional() });

export class EscalationFile {
  readonly #file: string;
  #rules: z.infer<typeof rulesSchema> = {};

  constructor(file: string) {
    this.#file = file;
    try {
      this.#rules = rulesSchema.parse(JSON.parse(readFileSync(file, "utf8")));
    } catch {
      // None yet, or none that can be read: the next answer makes it anew.
    }
  }

  /**
   * By which steps to go without an answer: those of a member that is no master, since who is one is not known; those of a master where
   * the appliance has never been anything else.
   */
  get steps(): readonly EscalationStep[] | undefined {
    return this.#rules.member ?? this.#rules.master;
  }

  /** Keeps what the control plane has said. @throws when the disk does not take it. */
  note(isMaster: boolean, steps: readonly EscalationStep[]): void {
    const name = isMaster ? "master" : "member";
    if (JSON.stringify(this.#rules[name]) === JSON.stringify(steps)) return;
    this.#rules = { ...this.#rules, [name]: [...steps] };
    const handle = openSync(`${this.#file}.new`, "w", 0o600);
    try {
      writeSync(handle, JSON.stringify(this.#rules));
      fsyncSync(handle);
    } finally {
      closeSync(handle);
    }
    renameSync(`${this.#file}.new`, this.#file);
  }
}
