// What stands between the gateway and one service: bulkhead, retries within a budget, breaker, time limit.
import {
  BrokenCircuitError,
  bulkhead,
  BulkheadRejectedError,
  circuitBreaker,
  CircuitState,
  ExponentialBackoff,
  handleType,
  retry,
  type BulkheadPolicy,
  type CircuitBreakerPolicy,
  type RetryPolicy,
} from "cockatiel";
import type { Clock } from "../../../runtime/clock.js";
import { OperatingError } from "../../../runtime/operating-error.js";
import type { ServiceName } from "./call-table.js";
import { RecentFaults } from "./recent-faults.js";
import { RetryBudget } from "./retry-budget.js";

export interface GuardSettings {
  /** A call, with all its repeats, is given up after so long. */
  timeout: number;
  /** Calls at once; more are refused. */
  callsAtOnce: number;
  /** Repeats of one call. */
  retries: number;
  /** Repeats that each call earns for the service. */
  retryShare: number;
  breaker: { over: number; callsMin: number; faultShare: number; openFor: number };
}

export const breakerStates = ["closed", "half-open", "open"] as const;
export type BreakerState = (typeof breakerStates)[number];

/** What became of a call, for metrics. `refused`: the service said no, as it should. */
export const callOutcomes = ["answered", "refused", "failed", "breaker-open", "bulkhead-full"] as const;
export type CallOutcome = (typeof callOutcomes)[number];

export interface ServiceGuardOptions {
  service: ServiceName;
  settings: GuardSettings;
  clock: Pick<Clock, "monotonicMs">;
  onOutcome: (outcome: CallOutcome) => void;
  /** `made` is false when the budget was spent. */
  onRetry: (made: boolean) => void;
  onBreaker: (state: BreakerState) => void;
}

/** One try of a call. */
export interface Attempt {
  /** The try is given up after so long. */
  deadlineMs: number;
  /** 0 for the first. */
  number: number;
  /** Another may follow. */
  mayFollow: boolean;
}

/** What says that the service, and not the request, is at fault. */
const faultCodes: ReadonlySet<string> = new Set(["control-plane-away", "store-unavailable", "shared-state-unavailable", "call-too-long"]);
/** With less time left a repeat is not worth it. */
const attemptMinMs = 20;
const retryFirstMs = 10;
const retryMaxMs = 200;

/** Whether `error` says that what was asked can't be told now, though it may be as it was. */
export function isAway(error: unknown): boolean {
  return error instanceof OperatingError && (faultCodes.has(error.code) || error.code === "gateway-busy");
}

/** A fault that is to be tried again. */
class RetryableFault extends Error {
  constructor(readonly fault: unknown) {
    super("retryable");
  }
}

/** A fault that counts, and ends the call. */
class FinalFault extends Error {
  constructor(readonly fault: unknown) {
    super("final");
  }
}

export class ServiceGuard {
  readonly service: ServiceName;
  readonly #options: ServiceGuardOptions;
  readonly #bulkhead: BulkheadPolicy;
  readonly #breaker: CircuitBreakerPolicy;
  readonly #retry: RetryPolicy;
  readonly #budget: RetryBudget;
  #openedAtMs = 0;

  constructor(options: ServiceGuardOptions) {
    const { settings, clock, service } = options;
    this.service = service;
    this.#options = options;
    this.#bulkhead = bulkhead(settings.callsAtOnce, 0);
    this.#budget = new RetryBudget(settings.retryShare);
    const { over, callsMin, faultShare, openFor } = settings.breaker;
    // Around the repeats: that one of several copies fails is not the service's fault while another answers.
    this.#breaker = circuitBreaker(handleType(FinalFault), {
      halfOpenAfter: openFor,
      breaker: new RecentFaults({ clock, overMs: over, callsMin, shareMax: faultShare }),
    });
    this.#breaker.onStateChange((state) => {
      if (state === CircuitState.Open) this.#openedAtMs = clock.monotonicMs();
      options.onBreaker(this.state);
    });
    this.#retry = retry(handleType(RetryableFault), {
      maxAttempts: settings.retries,
      backoff: new ExponentialBackoff({ initialDelay: retryFirstMs, maxDelay: retryMaxMs }),
    });
  }

  /** An open breaker stays open until someone asks after its time, and that call succeeds. */
  get state(): BreakerState {
    const { state } = this.#breaker;
    return state === CircuitState.Closed ? "closed" : state === CircuitState.HalfOpen ? "half-open" : "open";
  }

  get running(): number {
    return this.#options.settings.callsAtOnce - this.#bulkhead.executionSlots;
  }

  /**
   * What `work` answers. Its refusals pass; its faults count.
   *
   * @param mayRepeat whether `work` may be done again.
   * @throws OperatingError of `work`, or "control-plane-away" while the breaker is open, or "gateway-busy" when too many calls run.
   */
  async ask<Answer>(mayRepeat: boolean, work: (attempt: Attempt) => Promise<Answer>): Promise<Answer> {
    const { clock, settings, onOutcome } = this.#options;
    const endsAtMs = clock.monotonicMs() + settings.timeout;
    const attempt = async (number: number): Promise<{ answer: Answer } | { refusal: unknown }> => {
      const leftMs = endsAtMs - clock.monotonicMs();
      const mayFollow = mayRepeat && number < settings.retries;
      try {
        return { answer: await work({ deadlineMs: Math.max(1, Math.floor(leftMs)), number, mayFollow }) };
      } catch (error) {
        // A refusal is an answer: it speaks for the service.
        if (!(error instanceof OperatingError)) throw error;
        if (!faultCodes.has(error.code)) return { refusal: error };
        const worthIt = mayFollow && endsAtMs - clock.monotonicMs() >= attemptMinMs;
        throw worthIt && this.#maySpend() ? new RetryableFault(error) : new FinalFault(error);
      }
    };
    try {
      const outcome = await this.#bulkhead.execute(() => {
        // The one call that tries whether the service is back is not waited for.
        if (this.#breaker.state === CircuitState.HalfOpen) throw new BrokenCircuitError();
        return this.#breaker.execute(() => {
          this.#budget.earn();
          return this.#retry.execute(({ attempt: number }) => attempt(number));
        });
      });
      onOutcome("answer" in outcome ? "answered" : "refused");
      if ("refusal" in outcome) throw outcome.refusal;
      return outcome.answer;
    } catch (error) {
      if (error instanceof FinalFault) {
        onOutcome("failed");
        throw error.fault;
      }
      if (error instanceof BulkheadRejectedError) {
        onOutcome("bulkhead-full");
        throw new OperatingError("gateway-busy", `Cannot ask ${this.service}: ${settings.callsAtOnce} calls wait for it already`, {
          source: this.service,
          retryable: true,
          retryAfterMs: 1000,
        });
      }
      if (error instanceof BrokenCircuitError) {
        onOutcome("breaker-open");
        const retryAfterMs = Math.max(1, Math.ceil(this.#openedAtMs + settings.breaker.openFor - clock.monotonicMs()));
        throw new OperatingError(
          "control-plane-away",
          `Cannot ask ${this.service}: it has failed too often of late, and is left alone for now`,
          {
            source: this.service,
            retryable: true,
            retryAfterMs,
          },
        );
      }
      throw error;
    }
  }

  #maySpend(): boolean {
    const made = this.#budget.spend();
    this.#options.onRetry(made);
    return made;
  }
}
