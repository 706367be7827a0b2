// Prints the result of a policy simulation for people.
import Table from "cli-table3";
import { formatByteSize } from "../../runtime/byte-size.js";
import type { PoliciesResult, SimulatedSize } from "./policies-result.js";

/** A row per policy, a column per size, each cell "hit % / byte-hit %". */
export function formatPolicies({ trace, sizes, notes, complete }: PoliciesResult): string {
  const lines = [
    `${trace.source}: ${trace.requests.toLocaleString("en")} requests for ${trace.objects.toLocaleString("en")} objects of ` +
      `${formatByteSize(trace.footprintBytes)} together`,
  ];
  if (sizes.length > 0) {
    const table = new Table({
      head: ["hit % / byte-hit %", ...sizes.map(titleOf), "simulated"],
      colAligns: ["left", ...sizes.map(() => "right" as const), "right"],
      style: { head: [], border: [] },
    });
    sizes[0]!.policies.forEach(({ title, offline }, row) => {
      const cells = sizes.map((size) => ratios(size.policies[row]!.hitRatio, size.policies[row]!.byteHitRatio));
      const slowest = Math.min(...sizes.map((size) => size.policies[row]!.requestsPerSecond));
      table.push([offline ? `${title} (offline)` : title, ...cells, `${(slowest / 1e6).toFixed(1)} M req/s`]);
    });
    table.push(["no policy is above", ...sizes.map(({ bound }) => ratios(bound.hitRatio, bound.byteHitRatio)), ""]);
    const endless = ratios(trace.endlessHitRatio, trace.endlessByteHitRatio);
    table.push(["endless cache", ...sizes.map(() => endless), ""]);
    lines.push(table.toString());
  }
  for (const note of notes) lines.push(`note: ${note}`);
  if (!complete) lines.push("INTERRUPTED: sizes that were not finished are missing.");
  return `${lines.join("\n")}\n`;
}

function titleOf({ capacityBytes, footprintShare }: SimulatedSize): string {
  return `${formatByteSize(capacityBytes)}\n${(footprintShare * 100).toPrecision(3)} % of all`;
}

function ratios(hitRatio: number, byteHitRatio: number): string {
  return `${(hitRatio * 100).toFixed(2)} / ${(byteHitRatio * 100).toFixed(2)}`;
}
