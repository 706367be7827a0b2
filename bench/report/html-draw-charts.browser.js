// Runs in the report page: draws every chart whose data stands beside it, with uPlot, in the colours of the page.
"use strict";
(() => {
  const heightPx = 280;
  /** Shapes that tell series apart where colours don't. */
  const offlineDash = [6, 4];

  const number = (value) => (Math.abs(value) >= 1000 ? value.toLocaleString("en") : String(Number(value.toPrecision(4))));
  const bytes = (value) => {
    const unit = Math.min(5, Math.max(0, Math.floor(Math.log2(value) / 10)));
    return `${Number((value / 1024 ** unit).toPrecision(3))} ${["B", "KiB", "MiB", "GiB", "TiB", "PiB"][unit]}`;
  };
  const percentile = (value) => `${Number((100 * (1 - 1 / value)).toPrecision(6))} %`;
  const percent = (value) => `${Number((100 * value).toPrecision(4))} %`;
  const kinds = {
    linear: { log: false, format: number },
    log: { log: true, format: number },
    percentile: { log: true, format: percentile },
    bytes: { log: true, format: bytes },
    percent: { log: false, format: percent },
  };

  /** A log axis has a line at 1, 2, 3 … of each power of ten: where it spans several, only the powers are named. */
  const namedSplits = (format, log) => (_plot, splits) => {
    const seen = splits.filter((value) => value !== null);
    const decades = seen.length > 0 ? Math.log10(seen[seen.length - 1] / seen[0]) : 0;
    const isNamed = (value) => {
      const first = Number(String(value.toExponential()).split("e")[0]);
      return decades > 2 ? first === 1 : [1, 2, 5].includes(Math.round(first * 1e6) / 1e6);
    };
    return splits.map((value) => (value === null || (log && !isNamed(value)) ? "" : format(value)));
  };

  const draw = (figure) => {
    const chart = JSON.parse(figure.querySelector("script").textContent);
    const style = getComputedStyle(document.documentElement);
    const color = (name) => style.getPropertyValue(name).trim();
    const palette = color("--series").split(" ");
    const xKind = kinds[chart.x.kind];
    const yKind = kinds[chart.y.kind];
    const tables = chart.series.map(({ points }) => [points.map(([x]) => x), points.map(([, y]) => y)]);
    const data = chart.stepped ? stepped(chart.series) : uPlot.join(tables);
    // On an axis of bytes the lines are the sizes that were simulated.
    const axis = (spec, kind, values) => ({
      label: spec.label,
      stroke: color("--quiet"),
      grid: { stroke: color("--line"), width: 1 },
      ticks: { stroke: color("--line"), width: 1 },
      ...(spec === chart.y ? { size: 64 } : {}),
      ...(spec.kind === "bytes" ? { splits: () => values, filter: (_plot, splits) => splits } : {}),
      values: spec.kind === "bytes" ? (_plot, splits) => splits.map(bytes) : namedSplits(kind.format, kind.log),
    });
    const scale = (spec, kind, values) => {
      const sides = { time: false, distr: kind.log ? 3 : 1 };
      // The range is said outright: uPlot would widen a log axis to whole powers of ten.
      if (spec.kind === "percent") return { ...sides, range: [0, spec === chart.y ? 1 : Math.max(0.01, Math.max(...values) * 1.05)] };
      if (spec.kind === "bytes" || spec.kind === "percentile") return { ...sides, range: [Math.min(...values), Math.max(...values)] };
      if (!kind.log) return { ...sides, range: (_plot, _low, high) => [0, high > 0 ? high * 1.05 : 1] };
      return sides;
    };
    const xValues = data[0];
    return new uPlot(
      {
        width: figure.clientWidth,
        height: heightPx,
        cursor: { points: { size: 6 } },
        scales: { x: scale(chart.x, xKind, xValues), y: scale(chart.y, yKind, []) },
        axes: [axis(chart.x, xKind, xValues), axis(chart.y, yKind)],
        series: [
          { label: chart.x.label, value: (_plot, value) => (value === null ? "" : xKind.format(value)) },
          ...chart.series.map(({ label, dashed }, index) => ({
            label,
            stroke: palette[index % palette.length],
            width: 2,
            dash: dashed ? offlineDash : undefined,
            spanGaps: true,
            points: { show: chart.x.kind === "bytes" },
            paths: chart.stepped ? uPlot.paths.stepped({ align: 1 }) : undefined,
            value: (_plot, value) => (value === null || value === undefined ? "" : yKind.format(value)),
          })),
        ],
      },
      data,
      figure,
    );
  };

  /** Every series at every x: what it last was. A shared axis of all values keeps the curves' steps where they are. */
  const stepped = (series) => {
    const xs = [...new Set(series.flatMap(({ points }) => points.map(([x]) => x)))].sort((a, b) => a - b);
    const right = xs.length > 0 ? xs[xs.length - 1] : 0;
    // One more to the right, so that the last step can be seen.
    xs.push(right > 0 ? right * 1.05 : 1);
    const columns = series.map(({ points }) => {
      let next = 0;
      let value = 0;
      return xs.map((x) => {
        while (next < points.length && points[next][0] <= x) value = points[next++][1];
        return value;
      });
    });
    return [xs, ...columns];
  };

  const plots = new Map();
  const drawAll = () => {
    for (const figure of document.querySelectorAll("figure.chart")) {
      plots.get(figure)?.destroy();
      plots.set(figure, draw(figure));
    }
  };
  drawAll();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  addEventListener("resize", () => plots.forEach((plot, figure) => plot.setSize({ width: figure.clientWidth, height: heightPx })));
})();
