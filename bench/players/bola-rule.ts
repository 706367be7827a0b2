// The buffer-based rule: BOLA, which needs no estimate of the throughput.
import type { BitrateRule, RuleSituation } from "./bitrate-rule.js";

/** Weight of smooth playback against bitrate, times the segment's length; the paper's choice in its evaluation (section V). */
const gammaP = 5;

/**
 * BOLA-BASIC: Spiteri, Urgaonkar, Sitaraman, "BOLA: Near-Optimal Bitrate Adaptation for Online Videos", INFOCOM 2016, section III.
 * With sizes S_m (here proportional to the bitrates), utilities v_m = ln(S_m / S_1), Q the buffer in segments and
 * V = (Q_max − 1) / (v_M + γp), it takes the m that maximises (V (v_m + γp) − Q) / S_m, and waits where none is above 0.
 */
export class BolaRule implements BitrateRule {
  choose({ bitsPerSecond, bufferSeconds, segmentSeconds, bufferMaxSeconds }: RuleSituation): number | "wait" {
    const lowest = bitsPerSecond[0]!;
    const highestUtility = Math.log(bitsPerSecond.at(-1)! / lowest);
    const bufferSegments = bufferSeconds / segmentSeconds;
    // Where the buffer has no room for two segments, Q_max − 1 would be 0 and every choice the lowest or none.
    const bufferMaxSegments = Math.max(2, bufferMaxSeconds / segmentSeconds);
    const control = (bufferMaxSegments - 1) / (highestUtility + gammaP);
    let best: number | "wait" = "wait";
    let bestScore = 0;
    bitsPerSecond.forEach((bits, rung) => {
      const score = (control * (Math.log(bits / lowest) + gammaP) - bufferSegments) / bits;
      if (score > bestScore) {
        best = rung;
        bestScore = score;
      }
    });
    return best;
  }

  observe(): void {}
}
