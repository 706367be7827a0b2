// The operator console: asks the gateway for the fleet every two seconds, and shows it with rates and a chart.
import { element, pageElement, setText } from "./element.js";
import { FleetRow, readOfflineWord } from "./fleet-row.js";
import { FleetRates, historyMs } from "./fleet-rates.js";
import { formatBitRate, formatBytes, formatNumber, formatTimeOfDay, shortId } from "./format-quantity.js";
import type { Fleet, FleetAppliance } from "./gateway-answers.js";
import { fetchFleet, fetchGatewayState, GatewayError } from "./gateway-client.js";
import { renderServices } from "./service-table.js";
import { chartWidth, drawStackedChart } from "./stacked-chart.js";

const pollEveryMs = 2_000;
/** While the gateway is away, the wait doubles from the poll's own up to this. */
const pollMaxWaitMs = 15_000;
/** Ages and the countdown move on between polls. */
const renderEveryMs = 1_000;
/** As many colours as the eye tells apart; further appliances share the last one. */
const colours = 8;

const notice = pageElement("notice", HTMLElement);
const fleetWords = pageElement("fleet-words", HTMLElement);
const fleetRows = pageElement("fleet-rows", HTMLElement);
const chart = pageElement("chart", SVGSVGElement);

const rates = new FleetRates();
const rows = new Map<string, FleetRow>();
/** Colours stay with an appliance for the life of the page, however the fleet is sorted. */
const colourOf = new Map<string, number>();
let fleet: Fleet | undefined;
let fetchedAtMs = 0;
let waitMs = pollEveryMs;
let failure = "";
let nextPollAtMs = 0;

async function poll(): Promise<void> {
  try {
    fleet = await fetchFleet();
    fetchedAtMs = Date.now();
    failure = "";
    waitMs = pollEveryMs;
    rates.observe(fleet.appliances, fetchedAtMs);
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error;
    failure = error.message;
    waitMs = Math.min(waitMs * 2, pollMaxWaitMs);
  }
  nextPollAtMs = Date.now() + waitMs;
  setTimeout(() => void poll(), waitMs);
  render();
}

function render(): void {
  renderNotice();
  if (!fleet) return;
  const order = [...fleet.appliances].sort((a, b) => sortKey(a).localeCompare(sortKey(b)));
  for (const { id } of order) if (!colourOf.has(id)) colourOf.set(id, Math.min(colourOf.size + 1, colours));
  renderTotals(order);
  renderRows(order);
  renderChart(order);
}

/** Edges before storage, site by site: the order of the tiers as players meet them. */
function sortKey({ role, siteId, clusterId, id }: FleetAppliance): string {
  return [role === "edge" ? "0" : "1", siteId, clusterId, id].join("\0");
}

function renderNotice(): void {
  const seconds = Math.max(0, Math.ceil((nextPollAtMs - Date.now()) / 1000));
  const shown = fleet ? ` Below is the fleet as it was at ${formatTimeOfDay(fetchedAtMs)}.` : "";
  const stale = "The control plane is away: this is the fleet that the gateway remembers. Appliances go on serving without it.";
  const words = failure ? `${failure}${shown}` : fleet?.stale ? stale : "";
  notice.hidden = words === "";
  setText(pageElement("notice-words", HTMLElement), words);
  // Outside of what a screen reader is told: it changes each second.
  setText(pageElement("notice-countdown", HTMLElement), failure ? (seconds > 0 ? `Next try in ${seconds} s.` : "Trying now…") : "");
  setText(pageElement("freshness", HTMLElement), fleet ? `Updated ${formatTimeOfDay(fetchedAtMs)}` : "");
}

const totalNames = ["Live", "Requests", "Sends", "Fills", "Holds"] as const;
const totalValues = new Map(
  totalNames.map((name) => {
    const value = element("dd", {}, "–");
    pageElement("totals", HTMLElement).append(element("div", {}, element("dt", {}, name), value));
    return [name, value];
  }),
);

function renderTotals(appliances: readonly FleetAppliance[]): void {
  let [live, requests, sent, filled, held, capacity] = [0, 0, 0, 0, 0, 0];
  for (const appliance of appliances) {
    const rate = rates.of(appliance.id);
    if (appliance.state === "live") live++;
    requests += rate?.requestsPerSecond ?? 0;
    sent += rate?.bytesSentPerSecond ?? 0;
    filled += rate?.bytesFilledPerSecond ?? 0;
    held += appliance.heldBytes;
    capacity += appliance.capacityBytes;
  }
  const values = {
    Live: `${live} of ${appliances.length}`,
    Requests: `${formatNumber(requests)}/s`,
    Sends: formatBitRate(sent * 8),
    Fills: formatBitRate(filled * 8),
    Holds: `${formatBytes(held)} of ${formatBytes(capacity)}`,
  };
  for (const name of totalNames) setText(totalValues.get(name)!, values[name]);
}

function renderRows(appliances: readonly FleetAppliance[]): void {
  setText(fleetWords, appliances.length === 0 ? "No appliance has registered yet." : readOfflineWord(appliances));
  pageElement("fleet", HTMLElement).hidden = appliances.length === 0;
  const ids = new Set(appliances.map((appliance) => appliance.id));
  for (const [id, row] of rows) {
    if (ids.has(id)) continue;
    row.element.remove();
    rows.delete(id);
  }
  appliances.forEach((appliance, index) => {
    let row = rows.get(appliance.id);
    if (!row) {
      row = new FleetRow(appliance.id);
      rows.set(appliance.id, row);
    }
    // Heartbeat ages are taken on the reader's clock; a row says "now" when the control plane's is ahead.
    row.update(appliance, {
      rates: rates.of(appliance.id),
      restarts: rates.restartsOf(appliance.id),
      colour: colourOf.get(appliance.id)!,
      nowMs: Date.now(),
    });
    if (fleetRows.children[index] !== row.element) fleetRows.insertBefore(row.element, fleetRows.children[index] ?? null);
  });
}

function renderChart(appliances: readonly FleetAppliance[]): void {
  const { history } = rates;
  const series = appliances.map(({ id }) => ({ name: id, values: history.map((sample) => (sample.sent.get(id) ?? 0) * 8) }));
  const filled = history.map((sample) => sample.filled * 8);
  const shapes = drawStackedChart(
    history.map((sample) => sample.atMs),
    series,
    { line: filled, endMs: fetchedAtMs, spanMs: historyMs },
  );
  chart.replaceChildren(
    svgShape("path", { d: `M0 50H${chartWidth}`, class: "grid" }),
    ...shapes.areas.map((d, index) => svgShape("path", { d, class: `area series-${colourOf.get(series[index]!.name)}` })),
    svgShape("path", { d: shapes.line, class: "filled" }),
  );
  setText(pageElement("chart-top", HTMLElement), formatBitRate(shapes.top));
  setText(pageElement("chart-middle", HTMLElement), formatBitRate(shapes.top / 2));
  const peak = Math.max(0, ...history.map((_, index) => series.reduce((sum, { values }) => sum + values[index]!, 0)));
  setText(pageElement("chart-words", HTMLElement), `Peak ${formatBitRate(peak)}. Areas: sent, by appliance. Line: filled.`);
  const legend = appliances.map(({ id, siteId }) =>
    element(
      "li",
      { attributes: { title: id } },
      element("span", { class: `swatch series-${colourOf.get(id)}` }),
      `${siteId} · ${shortId(id)}`,
    ),
  );
  const place = pageElement("legend", HTMLElement);
  if (place.textContent !== legend.map((item) => item.textContent).join("")) place.replaceChildren(...legend);
}

function svgShape(tag: "path", attributes: Readonly<Record<string, string>>): SVGElement {
  const shape = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) shape.setAttribute(name, value);
  return shape;
}

/** On its own: the breakers are what one wants to see while the fleet can't be asked. */
async function pollServices(): Promise<void> {
  try {
    renderServices(await fetchGatewayState());
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error;
    renderServices(undefined);
  }
  setTimeout(() => void pollServices(), pollEveryMs);
}

setInterval(render, renderEveryMs);
void pollServices();
void poll();
