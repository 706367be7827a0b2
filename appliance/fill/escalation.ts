// Which of the ranked sources may be asked for an object by now. Pure: the steps are data of the control plane.

export type SourceScope = "cluster" | "tier" | "origin";

export interface RankedSource {
  url: string;
  scope: SourceScope;
  hops: number;
  /** "" when it is not known. */
  applianceId: string;
}

export interface EscalationStep {
  scope: SourceScope;
  /** 0 = at any distance. */
  maxHops: number;
  waitSeconds: number;
  /** 0 = as fast as the rest allows. */
  maxBytesPerSecond: number;
}

/** The control plane's answer for one object. Plain data. */
export interface RankedSources {
  /** Best first. */
  sources: readonly RankedSource[];
  /** In order of preference; none: everything at once. */
  steps: readonly EscalationStep[];
  /** The answer is good for so long; 0 = for this once. */
  validSeconds: number;
}

export interface OpenSources {
  /** In the order to ask them. */
  sources: readonly RankedSource[];
  /** The settings' own upstreams may be asked, after them. */
  upstreams: boolean;
  /** Of the first step that has anyone to ask; 0 = no limit. */
  maxBytesPerSecond: number;
  /** The scope whose limit that is. */
  scope: SourceScope;
  /** When more may be asked; undefined: all are. */
  nextStepInMs: number | undefined;
}

/**
 * `lackedForMs`: since when the appliance has lacked the object. Steps that are open are used together, in their order. `turn` takes turns among
 * sources of one step that are equally far, so that the chunks of an object come from several of them at once.
 */
export function openSources({ sources, steps }: RankedSources, lackedForMs: number, turn = 0): OpenSources {
  if (steps.length === 0) {
    return { sources: inTurn(sources, turn), upstreams: true, maxBytesPerSecond: 0, scope: "origin", nextStepInMs: undefined };
  }
  const open: RankedSource[] = [];
  let upstreams = false;
  let first: EscalationStep | undefined;
  let nextStepInMs: number | undefined;
  for (const step of steps) {
    const inMs = step.waitSeconds * 1000 - lackedForMs;
    if (inMs > 0) {
      nextStepInMs = Math.min(nextStepInMs ?? Infinity, inMs);
      continue;
    }
    const fitting = sources.filter(
      (source) => source.scope === step.scope && (step.maxHops === 0 || source.hops <= step.maxHops) && !open.includes(source),
    );
    open.push(...inTurn(fitting, turn));
    if (step.scope === "origin") upstreams = true;
    if (!first && (fitting.length > 0 || step.scope === "origin")) first = step;
  }
  return { sources: open, upstreams, maxBytesPerSecond: first?.maxBytesPerSecond ?? 0, scope: first?.scope ?? "origin", nextStepInMs };
}

/** Those of the best distance take turns; the others follow as they are. */
function inTurn(sources: readonly RankedSource[], turn: number): RankedSource[] {
  const best = sources.filter(({ scope, hops }) => scope === sources[0]!.scope && hops === sources[0]!.hops);
  const from = best.length === 0 ? 0 : turn % best.length;
  return [...best.slice(from), ...best.slice(0, from), ...sources.filter((source) => !best.includes(source))];
}
