// The popularity experiment as a section of the report.
import { formatByteSize } from "../../runtime/byte-size.js";
import type { PopularityResult } from "../popularity/popularity-result.js";
import { renderCharts, renderList, renderTable } from "./html-fragments.js";

export function renderPopularity({ trace, capacityBytes, footprintShare, warmUpDays, ways, notes }: PopularityResult): string {
  const facts =
    `${trace.source}: ${trace.requests.toLocaleString("en")} requests for ${trace.objects.toLocaleString("en")} objects of ` +
    `${formatByteSize(trace.footprintBytes)} together; a disk of ${formatByteSize(capacityBytes)}, ${percent(footprintShare)} of that. ` +
    `The first ${warmUpDays} days are not counted.`;
  const perDay = (title: string, hint: string, of: (day: PopularityResult["ways"][number]["days"][number]) => number) => ({
    title,
    hint,
    x: { label: "day", kind: "linear" as const },
    y: { label: title.toLowerCase(), kind: "percent" as const },
    series: ways.map((way) => ({ label: way.title, points: way.days.map((day, at) => [at, of(day)] as const) })),
  });
  return [
    renderList([facts, ...notes]),
    renderTable({
      head: ["way", "byte hit", "filled per served byte", "manifest churn a day", "on the worst day"],
      rows: ways.map((way) => [
        way.title,
        percent(way.byteHitRatio),
        way.fillBytesPerServedByte.toFixed(3),
        percent(way.churnMeanDay),
        percent(way.churnWorstDay),
      ]),
    }),
    renderCharts([
      perDay("Byte-hit ratio", "Higher is better.", ({ byteHitRatio }) => byteHitRatio),
      perDay("Churn of the manifest", "Share of the disk that manifests replaced; lower is better.", ({ churn }) => churn),
    ]),
  ].join("\n");
}

function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}
