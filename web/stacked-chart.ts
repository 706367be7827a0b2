// The shapes of the throughput chart: stacked areas, one line over them, and the numbers at its edge. Pure: no document.

export interface ChartSeries {
  readonly name: string;
  /** One value for each time; same length as the times. */
  readonly values: readonly number[];
}

export interface ChartShapes {
  /** SVG path data of each stacked series, bottom one first, in the box below. */
  readonly areas: readonly string[];
  readonly line: string;
  /** The value at the top edge: a round number that is above all. */
  readonly top: number;
}

/** The chart is drawn in a box of 1000 × 100 units, and stretched over its place by the page. */
export const chartWidth = 1000;
const chartHeight = 100;

/** Times run from `endMs - spanMs` at the left edge to `endMs` at the right edge. */
export function drawStackedChart(
  timesMs: readonly number[],
  stacked: readonly ChartSeries[],
  options: { readonly line: readonly number[]; readonly endMs: number; readonly spanMs: number },
): ChartShapes {
  const x = timesMs.map((time) => ((time - options.endMs + options.spanMs) / options.spanMs) * chartWidth);
  const totals = timesMs.map((_, index) => stacked.reduce((sum, series) => sum + (series.values[index] ?? 0), 0));
  const top = roundTop(Math.max(0, ...totals, ...options.line));
  const y = (value: number): number => chartHeight - (value / top) * chartHeight;
  const floor = timesMs.map(() => 0);
  const areas = stacked.map((series) => {
    const lower = floor.slice();
    series.values.forEach((value, index) => (floor[index] = (floor[index] ?? 0) + value));
    const outline = floor.map((value, index) => point(x[index]!, y(value)));
    const back = lower.map((value, index) => point(x[index]!, y(value))).toReversed();
    return outline.length < 2 ? "" : `M${[...outline, ...back].join("L")}Z`;
  });
  const line = options.line.map((value, index) => point(x[index]!, y(value)));
  return { areas, line: line.length < 2 ? "" : `M${line.join("L")}`, top };
}

/** The least of 1, 2, 5 × 10ⁿ that is not below `value`; 1 for nothing at all. */
export function roundTop(value: number): number {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return ([1, 2, 5].find((step) => step * power >= value) ?? 10) * power;
}

function point(x: number, y: number): string {
  return `${x.toFixed(1)} ${y.toFixed(2)}`;
}
