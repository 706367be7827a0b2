// Waiting for a condition instead of for a time.
import { setTimeout as wait } from "node:timers/promises";

const defaultDeadlineMs = 20_000;
const pollEveryMs = 50;

/** Resolves to the first answer of `look` that is neither undefined nor false; a throw counts as "not yet". Rejects at the deadline, saying what was waited for. */
export async function waitUntil<Answer>(
  what: string,
  look: () => Promise<Answer | undefined | false> | Answer | undefined | false,
  deadlineMs = defaultDeadlineMs,
): Promise<Answer> {
  const startedAtMs = performance.now();
  for (;;) {
    let trouble: unknown;
    try {
      const answer = await look();
      if (answer !== undefined && answer !== false) return answer;
    } catch (error) {
      trouble = error;
    }
    if (performance.now() - startedAtMs > deadlineMs) throw new Error(`Waited ${deadlineMs / 1000} s in vain: ${what}`, { cause: trouble });
    await wait(pollEveryMs);
  }
}
