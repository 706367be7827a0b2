// One appliance as a row of the console's table, updated in place so that focus and selection stay.
import { element, setText } from "./element.js";
import type { ApplianceRates } from "./fleet-rates.js";
import { formatAge, formatBitRate, formatBytes, formatNumber, shortId } from "./format-quantity.js";
import type { FleetAppliance, FleetDisk } from "./gateway-answers.js";

export interface FleetRowContext {
  readonly rates: ApplianceRates | undefined;
  readonly restarts: number;
  /** Number of the colour of this appliance in the chart. */
  readonly colour: number;
  readonly nowMs: number;
}

const stateMarks: Readonly<Record<string, string>> = { live: "good", draining: "warn", offline: "bad" };
const diskMarks: Readonly<Record<string, string>> = { online: "good", suspect: "warn", offline: "bad", retired: "idle" };
/** An appliance that is silent for this long is worth a look, whatever its state says. */
const lateHeartbeatMs = 10_000;

/** Names the appliances that do not serve, for the line above the table; empty when all do. */
export function readOfflineWord(appliances: readonly FleetAppliance[]): string {
  const away = appliances.filter((appliance) => appliance.state !== "live");
  return away.map((appliance) => `${appliance.siteId} · ${shortId(appliance.id)} is ${appliance.state}`).join("; ");
}

export class FleetRow {
  readonly element: HTMLTableRowElement;
  readonly #swatch = element("span", { class: "swatch" });
  readonly #name = element("span", { class: "name" });
  readonly #place = element("span", { class: "detail" });
  readonly #links = element("span", { class: "detail links" });
  readonly #state = element("span", { class: "state" });
  readonly #restarts = element("span", { class: "detail" });
  readonly #requests = element("span");
  readonly #sent = element("span");
  readonly #filled = element("span");
  readonly #held = new Bar("Holds");
  readonly #objects = element("span");
  readonly #headroom = element("span");
  readonly #disks = element("ul", { class: "disks" });
  readonly #heartbeat = element("span");
  #disksShown = "";
  #adminUrl = "";

  constructor(applianceId: string) {
    this.#name.title = applianceId;
    this.element = element(
      "tr",
      {},
      element(
        "th",
        { attributes: { scope: "row" } },
        element("span", { class: "label" }, this.#swatch, this.#name),
        this.#place,
        this.#links,
      ),
      cell("State", "", this.#state, this.#restarts),
      cell("Requests", "number", this.#requests),
      cell("Sends", "number", this.#sent),
      cell("Fills", "number", this.#filled),
      cell("Holds", "", this.#held.element),
      cell("Objects", "number", this.#objects),
      cell("Headroom", "", this.#headroom),
      cell("Disks", "", this.#disks),
      cell("Heartbeat", "number", this.#heartbeat),
    );
  }

  update(appliance: FleetAppliance, { rates, restarts, colour, nowMs }: FleetRowContext): void {
    this.#swatch.className = `swatch series-${colour}`;
    setText(this.#name, `${appliance.siteId} · ${shortId(appliance.id)}`);
    setText(this.#place, `${appliance.role}, cluster ${appliance.clusterId || "–"}`);
    this.#updateLinks(appliance.adminUrl);
    setText(this.#state, appliance.state);
    this.#state.className = `state ${stateMarks[appliance.state] ?? "idle"}`;
    this.element.classList.toggle("offline", appliance.state === "offline");
    setText(this.#restarts, restarts === 0 ? "" : restarts === 1 ? "restarted" : `restarted ${restarts} times`);
    setText(this.#requests, rates ? `${formatNumber(rates.requestsPerSecond)}/s` : "…");
    setText(this.#sent, rates ? formatBitRate(rates.bytesSentPerSecond * 8) : "…");
    setText(this.#filled, rates ? formatBitRate(rates.bytesFilledPerSecond * 8) : "…");
    this.#held.update(appliance.heldBytes, appliance.capacityBytes);
    setText(this.#objects, formatNumber(appliance.objectsHeld));
    setText(this.#headroom, appliance.requestHeadroom === 0 ? "none" : `${formatNumber(appliance.requestHeadroom)} requests`);
    this.#headroom.classList.toggle("bad-words", appliance.requestHeadroom === 0);
    this.#updateDisks(appliance.disks);
    const ageMs = nowMs - appliance.lastHeartbeatUnixMs;
    setText(this.#heartbeat, appliance.lastHeartbeatUnixMs === 0 ? "never" : formatAge(ageMs));
    this.#heartbeat.classList.toggle("bad-words", ageMs >= lateHeartbeatMs);
  }

  #updateLinks(adminUrl: string): void {
    if (adminUrl === this.#adminUrl) return;
    this.#adminUrl = adminUrl;
    this.#links.replaceChildren();
    // What an appliance reports about itself must not become a javascript: link.
    if (!URL.canParse(adminUrl) || !["http:", "https:"].includes(new URL(adminUrl).protocol)) return;
    for (const page of ["status", "metrics"]) {
      this.#links.append(element("a", { attributes: { href: new URL(page, withSlash(adminUrl)).href } }, page), " ");
    }
  }

  #updateDisks(disks: readonly FleetDisk[]): void {
    const shown = JSON.stringify(disks);
    if (shown === this.#disksShown) return;
    this.#disksShown = shown;
    const items = disks.map((disk) => {
      const bar = new Bar(`Used of ${disk.path}`);
      bar.update(disk.usedBytes, disk.capacityBytes);
      return element(
        "li",
        { attributes: { title: `${disk.path}\n${disk.uuid}` } },
        element("span", { class: "disk-name" }, disk.path.split("/").findLast((part) => part !== "") ?? disk.uuid),
        element("span", { class: `state ${diskMarks[disk.state] ?? "idle"}` }, disk.state),
        bar.element,
      );
    });
    this.#disks.replaceChildren(...(items.length > 0 ? items : [element("li", {}, "none")]));
  }
}

/** A part of a whole, as a bar with its figures. */
class Bar {
  readonly element: HTMLElement;
  readonly #bar: HTMLProgressElement;
  readonly #words = element("span", { class: "figure" });

  constructor(label: string) {
    this.#bar = element("progress", { attributes: { "aria-label": label, max: "1" } });
    this.element = element("span", { class: "bar" }, this.#bar, this.#words);
  }

  update(used: number, capacity: number): void {
    this.#bar.value = capacity > 0 ? Math.min(1, used / capacity) : 0;
    setText(this.#words, `${formatBytes(used)} of ${formatBytes(capacity)}`);
  }
}

function withSlash(url: string): string {
  return url.endsWith("/") ? url : `${url}/`;
}

/** The label shows where the table is too narrow for a head, and each row becomes a card. */
function cell(label: string, kind: string, ...children: Node[]): HTMLTableCellElement {
  return element("td", { class: kind, attributes: { "data-label": label } }, ...children);
}
