// The player page: lists titles, plays the chosen one, and shows which appliance serves each request.
import type HlsLibrary from "hls.js";
import { bufferedSeconds } from "./buffered-seconds.js";
import { element, pageElement, setText } from "./element.js";
import type { RequestRecord } from "./failover-loader.js";
import { formatBitRate, formatBytes, formatRunningTime, formatTimeOfDay, shortId } from "./format-quantity.js";
import type { Title, TitlesPage } from "./gateway-answers.js";
import { fetchTitles, GatewayError } from "./gateway-client.js";
import { PlaybackSession } from "./playback-session.js";
import type { RankedAppliance } from "./ranked-appliances.js";

/** hls.min.js, which the page loads before this module. */
declare const Hls: typeof HlsLibrary | undefined;

/** Read-only view of the page for tests and tinkerers: `window.millrace`. docs/pages.md says what it promises. */
export interface PlayerWindow {
  readonly video: HTMLVideoElement;
  /** The title being played; empty before one is chosen. */
  readonly titleId: string;
  /** Where the next request goes; empty when no appliance answers. */
  readonly applianceId: string;
  /** How many times the requests of this title moved on because an appliance failed. */
  readonly failovers: number;
  /** How many times the film stood still for want of data, after it had begun. */
  readonly stalls: number;
  /** In rank order. */
  readonly appliances: readonly RankedAppliance[];
  /** The last 50, newest first. */
  readonly requests: readonly RequestRecord[];
  /** What the page tells the viewer is wrong; empty when nothing is. */
  readonly notice: string;
}

declare global {
  interface Window {
    readonly millrace: PlayerWindow;
  }
}

const renderIntervalMs = 500;
/** A gateway that is away is asked for the titles again this often. */
const titlesRetryMs = 3_000;
const shownRequests = 25;

const video = pageElement("video", HTMLVideoElement);
const stage = pageElement("stage", HTMLElement);
const notice = pageElement("notice", HTMLElement);
const noticeWords = pageElement("notice-words", HTMLElement);
const noticeCountdown = pageElement("notice-countdown", HTMLElement);
const noticeRetry = pageElement("notice-retry", HTMLButtonElement);
const quality = pageElement("quality", HTMLSelectElement);
const titlesList = pageElement("titles", HTMLUListElement);
const titlesWords = pageElement("titles-words", HTMLElement);
const moreTitles = pageElement("more-titles", HTMLButtonElement);

let session: PlaybackSession | undefined;
const titles = new Map<string, Title>();
let titlesPage: TitlesPage | undefined;
let stalls = 0;
let renderedRequest: RequestRecord | undefined;

const view: PlayerWindow = {
  video,
  get titleId() {
    return session?.titleId ?? "";
  },
  get applianceId() {
    return session?.appliances.nextBase()?.applianceId ?? "";
  },
  get failovers() {
    return session?.appliances.failovers ?? 0;
  },
  get stalls() {
    return stalls;
  },
  get appliances() {
    return session?.appliances.list() ?? [];
  },
  get requests() {
    return session?.requests.slice() ?? [];
  },
  get notice() {
    return notice.hidden ? "" : noticeWords.textContent;
  },
};
Object.defineProperty(window, "millrace", { value: Object.freeze(view), writable: false });

async function loadTitles(pageToken: string): Promise<void> {
  moreTitles.disabled = true;
  try {
    titlesPage = await fetchTitles(pageToken);
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error;
    setText(titlesWords, `The titles cannot be listed: ${error.message} Trying again…`);
    titlesWords.hidden = false;
    setTimeout(() => void loadTitles(pageToken), titlesRetryMs);
    return;
  }
  for (const title of titlesPage.titles) {
    if (titles.has(title.id)) continue;
    titles.set(title.id, title);
    titlesList.append(element("li", {}, titleCard(title)));
  }
  const words =
    titles.size === 0
      ? "No titles yet. `millrace ingest` adds some."
      : titlesPage.stale
        ? "The control plane is away: this is the list that the gateway remembers."
        : "";
  setText(titlesWords, words);
  titlesWords.hidden = words === "";
  moreTitles.hidden = !titlesPage.nextPageToken;
  moreTitles.disabled = false;
  markChosenTitle();
}

function titleCard(title: Title): HTMLButtonElement {
  const card = element(
    "button",
    { attributes: { type: "button", "data-title": title.id } },
    element("span", { class: "name" }, title.name),
    element(
      "span",
      { class: "detail" },
      `${formatRunningTime(title.durationSeconds)} · ${formatBytes(title.sizeBytes)} · ${title.objectCount} objects`,
    ),
  );
  card.addEventListener("click", () => {
    const address = new URL(location.href);
    address.searchParams.set("title", title.id);
    history.pushState(null, "", address);
    choose(title.id);
    stage.scrollIntoView({ behavior: "smooth", block: "start" });
  });
  return card;
}

function markChosenTitle(): void {
  for (const card of titlesList.querySelectorAll("button")) {
    if (card.dataset["title"] === session?.titleId) card.setAttribute("aria-current", "true");
    else card.removeAttribute("aria-current");
  }
}

function choose(titleId: string): void {
  session?.end();
  session = undefined;
  stalls = 0;
  stage.hidden = titleId === "";
  document.title = "Millrace player";
  if (titleId !== "") {
    if (typeof Hls === "undefined" || !Hls.isSupported()) {
      showNotice("This browser cannot play: it has no Media Source Extensions.", "final");
      return;
    }
    const started = new PlaybackSession(titleId, video, Hls);
    session = started;
    started.hls.on(Hls.Events.MANIFEST_PARSED, () => listQualities(started));
    // A browser that wants a click first leaves the film paused, with its controls shown.
    video.play().catch(() => {});
  }
  markChosenTitle();
  render();
}

function listQualities({ hls }: PlaybackSession): void {
  const levels = hls.levels.map((level, index) =>
    element(
      "option",
      { attributes: { value: String(index) } },
      `${level.height ? `${level.height}p, ` : ""}${formatBitRate(level.bitrate)}`,
    ),
  );
  quality.replaceChildren(element("option", { attributes: { value: "-1" } }, "Automatic"), ...levels);
  quality.value = "-1";
}

/** `countdown` changes each second, and so stands outside of what a screen reader is told. */
function showNotice(words: string, kind: "" | "passing" | "final", countdown = ""): void {
  notice.hidden = kind === "";
  notice.classList.toggle("final", kind === "final");
  setText(noticeWords, words);
  setText(noticeCountdown, countdown);
  noticeRetry.hidden = session === undefined;
}

function render(): void {
  if (!session) return;
  const name = session.playback?.name ?? titles.get(session.titleId)?.name ?? session.titleId;
  setText(pageElement("now-playing", HTMLElement), name);
  document.title = `${name} · Millrace`;
  renderNotice(session);
  renderReadings(session);
  renderAppliances(session);
  renderRequests(session);
}

function renderNotice({ state }: PlaybackSession): void {
  if (state.kind === "waiting") {
    const seconds = Math.ceil((state.nextTryAtMs - Date.now()) / 1000);
    const left = Math.floor(bufferedSeconds(video));
    const playing = !video.paused && left > 0 ? `The buffer lasts for ${left} s. ` : "";
    showNotice(state.words, "passing", `${playing}${seconds > 0 ? `Next try in ${seconds} s.` : "Trying now…"}`);
  } else if (state.kind === "stopped") {
    showNotice(state.words, "final");
  } else {
    showNotice("", "");
  }
}

const readingValues = new Map(
  ["Served by", "Buffer", "Picture", "Throughput", "Frames dropped", "Stalls"].map((name) => {
    const value = element("dd", {}, "–");
    pageElement("readings", HTMLElement).append(element("div", {}, element("dt", {}, name), value));
    return [name, value];
  }),
);

function renderReadings({ hls, appliances }: PlaybackSession): void {
  const level = hls.levels[hls.currentLevel];
  const frames = video.getVideoPlaybackQuality();
  const next = appliances.nextBase();
  const values = {
    "Served by": next ? `${next.siteId} · ${shortId(next.applianceId)}` : "–",
    Buffer: `${bufferedSeconds(video).toFixed(1)} s`,
    Picture: level ? `${level.height ? `${level.height}p, ` : ""}${formatBitRate(level.bitrate)}` : "–",
    Throughput: Number.isFinite(hls.bandwidthEstimate) && hls.bandwidthEstimate > 0 ? formatBitRate(hls.bandwidthEstimate) : "–",
    "Frames dropped": `${frames.droppedVideoFrames} of ${frames.totalVideoFrames}`,
    Stalls: String(stalls),
  };
  for (const [name, text] of Object.entries(values)) setText(readingValues.get(name)!, text);
}

const stateMarks = { serving: "good", standby: "idle", failed: "bad" } as const;

function renderAppliances({ appliances, playback }: PlaybackSession): void {
  const list = pageElement("appliances", HTMLElement);
  const rows = appliances.list().map((row) => {
    const words = row.failedAtMs === undefined ? row.state : `failed at ${formatTimeOfDay(row.failedAtMs)}`;
    const served = row.requests > 0 ? `${row.requests} requests, ${formatBytes(row.bytes)}` : "not asked yet";
    const details = [`holds ${row.holds}`, served, row.reason].filter((part) => part !== "");
    return element(
      "li",
      { class: row.state },
      element("span", { class: "name", attributes: { title: row.applianceId } }, `${row.siteId} · ${shortId(row.applianceId)}`),
      element("span", { class: `state ${stateMarks[row.state]}` }, words),
      element("span", { class: "detail" }, details.join(" · ")),
    );
  });
  // Rewriting an unchanged list would throw away a reader's selection twice a second.
  if (rows.map((row) => row.outerHTML).join("") !== [...list.children].map((row) => row.outerHTML).join("")) list.replaceChildren(...rows);
  const count = appliances.failovers;
  setText(pageElement("failovers", HTMLElement), `${count === 0 ? "No" : count} failover${count === 1 ? "" : "s"} so far.`);
  renderOtherPlayers(playback?.urls[0]);
}

function renderOtherPlayers(url: { readonly hls: string; readonly dash: string } | undefined): void {
  const place = pageElement("other-players", HTMLElement);
  if (!url || place.dataset["hls"] === url.hls) return;
  place.dataset["hls"] = url.hls;
  const links = Object.entries({ HLS: url.hls, DASH: url.dash })
    .filter(([, address]) => URL.canParse(address, document.baseURI))
    .map(([name, address]) => element("a", { attributes: { href: address } }, name));
  place.replaceChildren("For other players: ", ...links.flatMap((link, index) => (index === 0 ? [link] : [", ", link])));
}

/** Also of appliances that have left the ranking since they served. */
const siteOf = new Map<string, string>();

function renderRequests({ requests, appliances }: PlaybackSession): void {
  if (requests[0] === renderedRequest) return;
  renderedRequest = requests[0];
  for (const { applianceId, siteId } of appliances.list()) siteOf.set(applianceId, siteId);
  const rows = requests.slice(0, shownRequests).map((request) => {
    const answer =
      request.failure || [request.cacheStatus || "served", request.redirectedTo && `by ${request.redirectedTo}`].filter(Boolean).join(" ");
    return element(
      "tr",
      { class: request.failure ? "failed" : "" },
      element("td", {}, formatTimeOfDay(request.startedAtMs)),
      element(
        "td",
        { attributes: { title: request.applianceId } },
        `${siteOf.get(request.applianceId) ?? ""} · ${shortId(request.applianceId)}`,
      ),
      element("td", {}, request.file),
      element("td", {}, request.range || "all"),
      element("td", { class: "number" }, formatBytes(request.bytes)),
      element("td", { class: "number" }, `${Math.round(request.tookMs)} ms`),
      element("td", {}, answer),
    );
  });
  pageElement("requests", HTMLElement).replaceChildren(...rows);
}

video.addEventListener("waiting", () => {
  if (video.played.length > 0 && !video.seeking && !video.ended) stalls++;
});
quality.addEventListener("change", () => {
  if (session) session.hls.nextLevel = Number(quality.value);
});
noticeRetry.addEventListener("click", () => session?.retry());
moreTitles.addEventListener("click", () => void loadTitles(titlesPage?.nextPageToken ?? ""));
addEventListener("popstate", () => choose(new URL(location.href).searchParams.get("title") ?? ""));
setInterval(render, renderIntervalMs);
void loadTitles("");
choose(new URL(location.href).searchParams.get("title") ?? "");
