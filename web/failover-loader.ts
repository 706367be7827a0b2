// A loader for hls.js that gets each request from the current appliance, and at once from the next one when that fails.
import type { HlsConfig, Loader, LoaderCallbacks, LoaderConfiguration, LoaderContext, LoaderStats } from "hls.js";

export type LoaderClass = new (config: HlsConfig) => Loader<LoaderContext>;

/** Where one request goes now. `foreign`: another server's URL, for which no appliance can stand in. `none`: all appliances have failed. */
export type Route = { kind: "appliance"; applianceId: string; url: string } | { kind: "foreign" } | { kind: "none" };

/** One try of one request on one appliance, as the page lists it. */
export interface RequestRecord {
  readonly startedAtMs: number;
  readonly applianceId: string;
  /** Last part of the path. */
  readonly file: string;
  /** `0-1023`, both ends included; empty for a whole file. */
  readonly range: string;
  readonly bytes: number;
  readonly tookMs: number;
  /** The `X-Cache-Status` header; empty where the browser may not read it. */
  readonly cacheStatus: string;
  /** Origin of the server that answered when the appliance redirected; else empty. */
  readonly redirectedTo: string;
  /** In words; empty when it succeeded. */
  readonly failure: string;
}

export interface RequestRouter {
  route(url: string): Route;
  onServed(record: RequestRecord): void;
  onFailed(record: RequestRecord): void;
  /** Milliseconds without a byte after which a request is taken elsewhere; asked again and again while it is under way. */
  patienceMs(phase: "firstByte" | "nextBytes"): number;
  /** Calls back once when route() may have changed its mind. The answer takes the call back. */
  onceRoutable(retry: () => void): () => void;
}

const stallCheckMs = 250;

/**
 * hls.js sees one server that never fails: URLs stay those of the first manifest, the answer of whichever appliance is handed over as theirs,
 * and while every appliance is away the request waits. So levels, buffer and position live through a failover untouched.
 */
export function failoverLoader(Inner: LoaderClass, router: RequestRouter): LoaderClass {
  return class FailoverLoader implements Loader<LoaderContext> {
    context: LoaderContext | null = null;
    stats: LoaderStats;
    readonly #hlsConfig: HlsConfig;
    #inner: Loader<LoaderContext>;
    #loadConfig: LoaderConfiguration | undefined;
    #callbacks: LoaderCallbacks<LoaderContext> | undefined;
    #stallTimer: ReturnType<typeof setInterval> | undefined;
    #stopWaiting: (() => void) | undefined;

    constructor(hlsConfig: HlsConfig) {
      this.#hlsConfig = hlsConfig;
      this.#inner = new Inner(hlsConfig);
      this.stats = this.#inner.stats;
    }

    load(context: LoaderContext, config: LoaderConfiguration, callbacks: LoaderCallbacks<LoaderContext>): void {
      this.context = context;
      this.#callbacks = callbacks;
      // Trying again is done here, on another appliance, and not in the inner loader on the same one.
      this.#loadConfig = { ...config, loadPolicy: { ...config.loadPolicy, errorRetry: null, timeoutRetry: null } };
      this.#attempt();
    }

    abort(): void {
      const { context, stats } = this;
      const callbacks = this.#callbacks;
      const inner = this.#inner;
      this.#callbacks = undefined;
      this.#settle();
      stats.aborted = true;
      inner.abort();
      if (context) callbacks?.onAbort?.(stats, context, null);
    }

    destroy(): void {
      this.#callbacks = undefined;
      this.#settle();
      this.#inner.destroy();
      this.context = null;
    }

    getCacheAge(): number | null {
      return this.#inner.getCacheAge?.() ?? null;
    }

    getResponseHeader(name: string): string | null {
      return this.#inner.getResponseHeader?.(name) ?? null;
    }

    #attempt(): void {
      const { context, stats } = this;
      const config = this.#loadConfig;
      const callbacks = this.#callbacks;
      if (!context || !config || !callbacks) return;
      const route = router.route(context.url);
      if (route.kind === "none") {
        this.#stopWaiting = router.onceRoutable(() => this.#attempt());
        return;
      }
      const inner = this.#inner;
      // An inner loader refuses to begin with stats that have a beginning.
      stats.loading.start = 0;
      if (route.kind === "foreign") {
        inner.load(context, config, callbacks);
        return;
      }
      const startedAtMs = Date.now();
      const tried = { ...context, url: route.url };
      const record = (details: Partial<RequestRecord>): RequestRecord => ({
        startedAtMs,
        applianceId: route.applianceId,
        file: decodeURIComponent(new URL(route.url).pathname.split("/").at(-1) ?? ""),
        range: context.rangeEnd ? `${context.rangeStart ?? 0}-${context.rangeEnd - 1}` : "",
        bytes: stats.loaded,
        tookMs: performance.now() - stats.loading.start,
        cacheStatus: "",
        redirectedTo: "",
        failure: "",
        ...details,
      });
      const fail = (failure: string): void => {
        if (inner !== this.#inner || callbacks !== this.#callbacks) return;
        this.#settle();
        router.onFailed(record({ failure }));
        this.#renewInner();
        this.#attempt();
      };
      inner.load(tried, config, {
        onSuccess: (response, stats, _context, networkDetails) => {
          this.#settle();
          // An appliance that answers a range with other bytes than asked for has failed too: hls.js would only log it.
          const expected = context.rangeEnd ? context.rangeEnd - (context.rangeStart ?? 0) : undefined;
          if (expected !== undefined && stats.loaded !== expected) {
            fail(`sent ${stats.loaded} of ${expected} bytes`);
            return;
          }
          router.onServed(record({ ...readHeaders(networkDetails, route.url) }));
          callbacks.onSuccess({ ...response, url: context.url }, stats, context, networkDetails);
        },
        onError: ({ code }) => fail(code === 0 ? "connection lost" : `HTTP ${code}`),
        onTimeout: () => fail("no answer in time"),
      });
      this.#watchForStall(fail);
    }

    /** An inner loader works once; the next one goes on with the same stats object, because hls.js holds on to that. */
    #renewInner(): void {
      this.#inner.destroy();
      this.#inner = new Inner(this.#hlsConfig);
      const { stats } = this;
      this.#inner.stats = stats;
      stats.aborted = false;
      stats.loaded = 0;
      stats.total = 0;
      stats.loading.first = stats.loading.end = 0;
      // While the request waits for an appliance, hls.js reads from this how long it has been under way.
      stats.loading.start = performance.now();
    }

    #watchForStall(fail: (failure: string) => void): void {
      let loaded = this.stats.loaded;
      let movedAtMs = performance.now();
      this.#stallTimer = setInterval(() => {
        const stoodStillMs = performance.now() - movedAtMs;
        const phase = this.stats.loading.first === 0 ? "firstByte" : "nextBytes";
        if (this.stats.loaded !== loaded) {
          loaded = this.stats.loaded;
          movedAtMs = performance.now();
        } else if (stoodStillMs >= router.patienceMs(phase)) {
          fail(`${phase === "firstByte" ? "no answer" : "stood still"} for ${(stoodStillMs / 1000).toFixed(1)} s`);
        }
      }, stallCheckMs);
    }

    #settle(): void {
      clearInterval(this.#stallTimer);
      this.#stopWaiting?.();
      this.#stopWaiting = undefined;
    }
  };
}

function readHeaders(networkDetails: unknown, askedUrl: string): Pick<RequestRecord, "cacheStatus" | "redirectedTo"> {
  if (!(networkDetails instanceof XMLHttpRequest)) return { cacheStatus: "", redirectedTo: "" };
  // getResponseHeader() complains on the browser's console about a header that CORS hides; the list of all just lacks it.
  const cacheStatus = /^x-cache-status:[ \t]*(.*?)[ \t]*$/im.exec(networkDetails.getAllResponseHeaders())?.[1] ?? "";
  const answered = new URL(networkDetails.responseURL || askedUrl, askedUrl).origin;
  return { cacheStatus, redirectedTo: answered === new URL(askedUrl).origin ? "" : answered };
}
