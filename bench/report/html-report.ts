// One self-contained page of one or several results: opens from a file, asks the network for nothing.
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { formatByteSize } from "../../runtime/byte-size.js";
import { packageRoot } from "../../runtime/package-root.js";
import type { PlayersResult } from "../players/players-result.js";
import type { PoliciesResult } from "../policies/policies-result.js";
import type { PopularityResult } from "../popularity/popularity-result.js";
import type { BenchResult } from "./bench-result.js";
import type { FiguresResult } from "./figures-result.js";
import { renderFigures } from "./html-figures.js";
import { escapeHtml } from "./html-fragments.js";
import { renderPlayers } from "./html-players.js";
import { renderPolicies } from "./html-policies.js";
import { renderPopularity } from "./html-popularity.js";
import { renderServers } from "./html-servers.js";

/** Whatever `millrace bench` and its commands print with --json. */
export type AnyResult = BenchResult | PoliciesResult | PopularityResult | PlayersResult | FiguresResult;

/** The page's HTML. Results of players share their charts; every other result has a section of its own, in the order given. */
export function renderHtmlReport(results: readonly AnyResult[]): string {
  const players = results.filter((result) => result.kind === "players");
  const sections: string[] = [];
  for (const result of results) {
    if (result.kind === "figures") sections.push(section("Figures", [result], renderFigures(result)));
    else if (result.kind === "popularity") sections.push(section("Filled ahead of demand", [result], renderPopularity(result)));
    else if (result.kind === "policies") sections.push(section("Cache policies", [result], renderPolicies(result)));
    else if (result.kind !== "players") sections.push(section(titles[result.kind], [result], renderServers(result)));
    else if (result === players[0]) sections.push(section("Players", players, renderPlayers(players)));
  }
  const chartLibrary = dirname(fileURLToPath(import.meta.resolve("uplot/dist/uPlot.iife.min.js")));
  const style = readFileSync(join(chartLibrary, "uPlot.min.css"), "utf8") + readPart("html-report.css");
  const script = readFileSync(join(chartLibrary, "uPlot.iife.min.js"), "utf8") + readPart("html-draw-charts.browser.js");
  // No source but this page itself may be asked for anything.
  const policy = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:";
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Millrace bench</title>
<style>${style}</style>
</head>
<body>
<h1>Millrace bench</h1>
${sections.length === 0 ? "<p>There is no result.</p>" : sections.join("\n")}
<script>${script}</script>
</body>
</html>
`;
}

const titles = { workload: "Server", peers: "Servers side by side", generator: "The load generator itself" } as const;

function section(title: string, results: readonly AnyResult[], body: string): string {
  return `<section><h2>${title}</h2>\n${results.map(renderHead).join("\n")}\n${body}</section>`;
}

/** When, where, from which commit and with which arguments. */
function renderHead({ startedAt, finishedAt, machine, commit, arguments: typed, complete }: AnyResult): string {
  const seconds = Math.round((Date.parse(finishedAt) - Date.parse(startedAt)) / 1000);
  const facts = [
    `${startedAt.slice(0, 19).replace("T", " ")} UTC, ${seconds} s`,
    `${machine.cores} × ${machine.cpuModel}, ${formatByteSize(machine.memoryBytes)}, ${machine.kernel}, Node ${machine.node}, load ${machine.loadAverageAtStart} at the start`,
    ...(commit === null ? [] : [`commit ${commit.hash.slice(0, 12)}${commit.dirty ? " with changes" : ""}`]),
    ...(complete ? [] : ["interrupted: incomplete"]),
  ];
  return `<p class="facts"><code>millrace ${escapeHtml(typed.join(" "))}</code><br>${facts.map(escapeHtml).join(" · ")}</p>`;
}

function readPart(name: string): string {
  return readFileSync(join(packageRoot, "bench/report", name), "utf8");
}
