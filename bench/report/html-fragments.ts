// The pieces that the report page is made of: escaped text, tables, and charts as data for the browser to draw.

export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

/** A cell of a table. `share` (0 to 1) draws a bar behind it; `title` is shown when pointed at. */
export interface HtmlCell {
  text: string;
  share?: number;
  title?: string;
  /** A name, not a number. */
  name?: true;
}

export interface HtmlTable {
  head: readonly string[];
  /** The first cell of a row is its header. A plain string is a cell of text. */
  rows: readonly (readonly (HtmlCell | string)[])[];
}

export function renderTable({ head, rows }: HtmlTable): string {
  const headCells = head.map((title) => `<th scope="col">${escapeHtml(title)}</th>`).join("");
  const body = rows.map((row) => `<tr>${row.map(renderCell).join("")}</tr>`).join("\n");
  return `<div class="wide"><table><thead><tr>${headCells}</tr></thead>\n<tbody>${body}</tbody></table></div>`;
}

function renderCell(value: HtmlCell | string, column: number): string {
  const cell = typeof value === "string" ? { text: value } : value;
  const title = cell.title === undefined ? "" : ` title="${escapeHtml(cell.title)}"`;
  if (column === 0) return `<th scope="row"${title}>${escapeHtml(cell.text)}</th>`;
  if (cell.name) return `<td class="name"${title}>${escapeHtml(cell.text)}</td>`;
  if (cell.share === undefined) return `<td${title}>${escapeHtml(cell.text)}</td>`;
  const percent = (Math.min(1, Math.max(0, cell.share)) * 100).toFixed(1);
  return `<td class="bar" style="--share:${percent}%"${title}>${escapeHtml(cell.text)}</td>`;
}

export interface ChartAxis {
  label: string;
  /** How its numbers are spread and written; html-draw-charts.browser.js knows each. "percentile": values are 1 ÷ (1 − share), log. "bytes": log. "percent": shares of 1. */
  kind: "linear" | "log" | "percentile" | "bytes" | "percent";
}

interface ChartSeries {
  label: string;
  /** [x, y], x rising. */
  points: readonly (readonly [number, number])[];
  dashed?: boolean;
}

export interface Chart {
  title: string;
  /** One sentence on how to read it. */
  hint?: string;
  x: ChartAxis;
  y: ChartAxis;
  series: readonly ChartSeries[];
  /** Keep each value until the next, as counts do. */
  stepped?: boolean;
}

/** Nothing where no series has two points: a curve needs them. */
export function renderCharts(charts: readonly Chart[]): string {
  const drawable = charts.filter(({ series }) => series.some(({ points }) => points.length > 1));
  if (drawable.length === 0) return "";
  return `<div class="charts">${drawable.map(renderChart).join("\n")}</div>`;
}

function renderChart(chart: Chart): string {
  const hint = chart.hint === undefined ? "" : `<p>${escapeHtml(chart.hint)}</p>`;
  // "<" could end the script element early.
  const data = JSON.stringify(chart).replaceAll("<", "\\u003c");
  return `<figure class="chart"><figcaption>${escapeHtml(chart.title)}${hint}</figcaption><script type="application/json">${data}</script></figure>`;
}

/** The share of `values` at or below each value, as a curve. */
export function cumulativePoints(values: readonly number[]): [number, number][] {
  const sorted = values.toSorted((a, b) => a - b);
  const points: [number, number][] = [];
  sorted.forEach((value, index) => {
    if (sorted[index + 1] !== value) points.push([value, (index + 1) / sorted.length]);
  });
  // From the axis up; a single value is a vertical line.
  const first = points[0];
  return first === undefined ? [] : [[first[0], 0], ...points];
}

export function renderList(items: readonly string[]): string {
  return items.length === 0 ? "" : `<ul>${items.map((item) => `<li>${escapeHtml(item)}</li>`).join("")}</ul>`;
}

export function renderVerdict({ ok, text }: { ok: boolean; text: string }): string {
  return `<p class="verdict ${ok ? "ok" : "failed"}">${escapeHtml(text)}</p>`;
}
