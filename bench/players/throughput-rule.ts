// The throughput-based rule: the highest bitrate that the last segments' throughput would have carried.
import type { BitrateRule, RuleSituation } from "./bitrate-rule.js";

/** Segments that the estimate looks back on. */
const lookBackSegments = 5;
/** Share of the estimate that a bitrate may use. */
const safetyShare = 0.9;

/**
 * The harmonic mean of the last five segments' throughput, which one fast segment does not lift (Jiang, Sekar, Zhang, "Improving Fairness,
 * Efficiency, and Stability in HTTP-based Adaptive Video Streaming with FESTIVE", CoNEXT 2012, section 5.2; five as in Yin et al., "A
 * Control-Theoretic Approach for Dynamic Adaptive Video Streaming over HTTP", SIGCOMM 2015), times 0.9 (dash.js's safety factor). Until
 * there is a measurement: the lowest rung.
 */
export class ThroughputRule implements BitrateRule {
  readonly #secondsPerByte: number[] = [];

  choose({ bitsPerSecond }: RuleSituation): number {
    const estimate = this.estimateBitsPerSecond();
    if (estimate === undefined) return 0;
    const highest = bitsPerSecond.findLastIndex((bits) => bits <= estimate * safetyShare);
    return Math.max(0, highest);
  }

  observe(bytes: number, seconds: number): void {
    if (bytes <= 0 || seconds <= 0) return;
    this.#secondsPerByte.push(seconds / bytes);
    if (this.#secondsPerByte.length > lookBackSegments) this.#secondsPerByte.shift();
  }

  /** Undefined before the first measurement. */
  estimateBitsPerSecond(): number | undefined {
    const count = this.#secondsPerByte.length;
    if (count === 0) return undefined;
    return (8 * count) / this.#secondsPerByte.reduce((sum, value) => sum + value, 0);
  }
}
