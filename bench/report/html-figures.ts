// The part of the report page on figures: a table per figure.
import { formatFigure } from "./figures-table.js";
import type { FiguresResult } from "./figures-result.js";
import { escapeHtml, renderList, renderTable } from "./html-fragments.js";

export function renderFigures({ figures, notes, verdict }: FiguresResult): string {
  const parts = figures.map(({ title, method, values, faults, notes }) =>
    [
      `<h3>${escapeHtml(title)}</h3>`,
      renderList([...method, ...faults.map((fault) => `FAULT: ${fault}`), ...notes]),
      renderTable({
        head: ["", "median", "least", "most", "rounds", "aim", ""],
        rows: values.map(({ name, unit, rounds, spread, target, reached }) => [
          name,
          formatFigure(spread.median, unit),
          formatFigure(spread.min, unit),
          formatFigure(spread.max, unit),
          String(rounds.length),
          target === null ? "" : "atLeast" in target ? `≥ ${formatFigure(target.atLeast, unit)}` : `≤ ${formatFigure(target.atMost, unit)}`,
          reached === null ? "" : reached ? "reached" : "missed",
        ]),
      }),
    ].join("\n"),
  );
  return [renderList([...notes, verdict.text]), ...parts].join("\n");
}
