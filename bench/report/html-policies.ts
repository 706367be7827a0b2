// The part of the report page on cache policies: hit ratio and byte-hit ratio over the cache's size.
import { formatByteSize } from "../../runtime/byte-size.js";
import type { PoliciesResult, SimulatedPolicy, SimulatedSize } from "../policies/policies-result.js";
import { type Chart, renderCharts, renderList, renderTable } from "./html-fragments.js";

export function renderPolicies({ trace, sizes, notes }: PoliciesResult): string {
  const policies = sizes[0]?.policies ?? [];
  const facts =
    `${trace.source}: ${trace.requests.toLocaleString("en")} requests for ${trace.objects.toLocaleString("en")} objects of ` +
    `${formatByteSize(trace.footprintBytes)} together. An endless cache would hit ${percent(trace.endlessHitRatio)} of the requests and ` +
    `${percent(trace.endlessByteHitRatio)} of the bytes.`;
  return [
    renderList([facts, ...notes]),
    renderTable({
      head: ["hit / byte-hit", ...sizes.map(sizeTitle)],
      rows: [
        ...policies.map((policy, index) => [titleOf(policy), ...sizes.map((size) => ratioCell(size.policies[index]!, size))]),
        ["no policy is above", ...sizes.map((size) => ratioCell(size.bound, size))],
      ],
    }),
    renderCharts([
      hitChart("Hit ratio", sizes, "hitRatio", trace.endlessHitRatio),
      hitChart("Byte-hit ratio", sizes, "byteHitRatio", trace.endlessByteHitRatio),
    ]),
  ].join("\n");
}

function ratioCell(ratios: { hitRatio: number; byteHitRatio: number }, { bound }: SimulatedSize) {
  return {
    text: `${percent(ratios.hitRatio)} / ${percent(ratios.byteHitRatio)}`,
    share: ratios.hitRatio,
    title: `${percent(ratios.hitRatio / bound.hitRatio)} / ${percent(ratios.byteHitRatio / bound.byteHitRatio)} of the bound`,
  };
}

function hitChart(title: string, sizes: readonly SimulatedSize[], ratio: "hitRatio" | "byteHitRatio", endless: number): Chart {
  const rising = sizes.toSorted((a, b) => a.capacityBytes - b.capacityBytes);
  const policies = rising[0]?.policies ?? [];
  return {
    title,
    hint: "Higher is better. Dashed: what no server can follow (Belady knows the future) or exceed (the bound).",
    x: { label: "cache size", kind: "bytes" },
    y: { label: title.toLowerCase(), kind: "percent" },
    series: [
      ...policies.map((policy, index) => ({
        label: policy.title,
        dashed: policy.offline,
        points: rising.map(({ capacityBytes, policies }) => [capacityBytes, policies[index]![ratio]] as const),
      })),
      { label: "bound", dashed: true, points: rising.map(({ capacityBytes, bound }) => [capacityBytes, bound[ratio]] as const) },
      { label: "endless", dashed: true, points: rising.map(({ capacityBytes }) => [capacityBytes, endless] as const) },
    ],
  };
}

function titleOf({ title, offline }: SimulatedPolicy): string {
  return offline ? `${title} (offline)` : title;
}

function sizeTitle({ capacityBytes, footprintShare }: SimulatedSize): string {
  return `${formatByteSize(capacityBytes)} (${(footprintShare * 100).toPrecision(3)} % of all)`;
}

function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}
