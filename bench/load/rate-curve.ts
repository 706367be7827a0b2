// How demand moves over a day, as factors on a mean rate.
import type { RateCurve } from "./load-plan.js";

/**
 * Evening-heavy video demand by local hour, after the shape that residential access networks see: the low at 04:00 is about a sixth of the
 * peak at 21:00. The shape is ours, drawn for load tests; it is not one operator's data.
 */
const hourlyDemand = [55, 38, 27, 20, 17, 18, 22, 29, 36, 41, 45, 49, 53, 55, 56, 58, 62, 69, 78, 89, 98, 100, 92, 74];
const meanDemand = hourlyDemand.reduce((sum, demand) => sum + demand, 0) / hourlyDemand.length;

/** Factor on the mean rate when `fraction` (0 to 1) of the curve has passed; its mean over [0, 1] is 1. Linear between the hours. */
export function rateFactor(curve: RateCurve, fraction: number): number {
  if (curve === "flat") return 1;
  const hour = (fraction - Math.floor(fraction)) * 24;
  const from = hourlyDemand[Math.floor(hour)]!;
  const to = hourlyDemand[(Math.floor(hour) + 1) % 24]!;
  return (from + (to - from) * (hour - Math.floor(hour))) / meanDemand;
}
