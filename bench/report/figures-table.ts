// Prints figures for people: a table per figure, with the aims and whether they are reached.
import Table from "cli-table3";
import { formatByteSize } from "../../runtime/byte-size.js";
import type { FiguresResult, FigureUnit, FigureValue } from "./figures-result.js";

export function formatFigures(result: FiguresResult): string {
  const lines: string[] = [];
  for (const { name, title, method, values, faults, notes } of result.figures) {
    lines.push(`${name}: ${title}`, ...method.map((text) => `  ${text}`));
    const table = new Table({ head: ["", "median", "least", "most", "rounds", "aim", ""], style: { head: [], border: [] } });
    for (const value of values) table.push(rowOf(value));
    if (values.length > 0) lines.push(table.toString());
    for (const fault of faults) lines.push(`FAULT: ${fault}`);
    for (const note of notes) lines.push(`note: ${note}`);
    lines.push("");
  }
  const { machine } = result;
  for (const note of result.notes) lines.push(`note: ${note}`);
  lines.push(
    `${machine.cores} × ${machine.cpuModel}, ${formatByteSize(machine.memoryBytes)}, ${machine.kernel}, Node ${machine.node}, load ${machine.loadAverageAtStart}`,
    result.verdict.text,
  );
  return `${lines.join("\n")}\n`;
}

function rowOf({ name, unit, rounds, spread, target, reached }: FigureValue): string[] {
  const text = (value: number) => formatFigure(value, unit);
  return [
    name,
    text(spread.median),
    text(spread.min),
    text(spread.max),
    String(rounds.length),
    target === null ? "" : "atLeast" in target ? `≥ ${text(target.atLeast)}` : `≤ ${text(target.atMost)}`,
    reached === null ? "" : reached ? "reached" : "MISSED",
  ];
}

export function formatFigure(value: number, unit: FigureUnit): string {
  switch (unit) {
    case "bytes":
      return formatByteSize(value);
    case "bytes/s":
      return `${(value / 1e9).toPrecision(3)} GB/s`;
    case "share":
      return `${(value * 100).toFixed(1)} %`;
    case "times":
      return `${value.toFixed(2)} ×`;
    case "count":
      return Math.round(value).toLocaleString("en");
    case "per second":
      return `${Math.round(value).toLocaleString("en")} /s`;
    default:
      return `${value >= 100 ? value.toFixed(0) : value.toPrecision(3)} ${unit}`;
  }
}
