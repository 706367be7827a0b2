// The control plane as the routes see it: each call goes through its service's guard to a copy that is well.
import type { CallFacts, ControlPlaneClient } from "../../control-plane-client.js";
import { callTable, mayRepeat, type CallName, type ControlPlaneCalls, type ServiceName } from "./call-table.js";
import type { ServiceGuard } from "./service-guard.js";

export interface GuardedCallsOptions {
  guards: Readonly<Record<ServiceName, Pick<ServiceGuard, "ask">>>;
  /** The copy to ask next; another than those that were asked, where there is one. `others`: how many more are well. */
  pickCopy: (asked: ReadonlySet<ControlPlaneClient>) => { client: ControlPlaneClient; others: number };
}

type Call = (request: unknown, facts: CallFacts) => Promise<unknown>;

export function makeGuardedCalls({ guards, pickCopy }: GuardedCallsOptions): ControlPlaneCalls {
  const guarded =
    (name: CallName) =>
    (request: unknown, given: string | CallFacts = {}) => {
      const facts = typeof given === "string" ? { requestId: given } : given;
      const asked = new Set<ControlPlaneClient>();
      return guards[callTable[name].service].ask(mayRepeat(name, facts.idempotencyKey), ({ deadlineMs, mayFollow }) => {
        const { client, others } = pickCopy(asked);
        asked.add(client);
        // A copy that hangs must leave time for another.
        const tryMs = mayFollow && others > 0 ? Math.ceil(deadlineMs / 2) : deadlineMs;
        return (client[name] as unknown as Call)(request, { ...facts, deadlineMs: tryMs });
      });
    };
  return Object.fromEntries(Object.keys(callTable).map((name) => [name, guarded(name as CallName)])) as unknown as ControlPlaneCalls;
}
