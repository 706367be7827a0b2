// Every metric of the control plane, in one table.
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from "prom-client";

export function openMetrics() {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const registers = [registry];
  let countAtScrape = () => {};
  let passwordsWorked = () => 0;
  const appliances = new Gauge({
    name: "millrace_control_plane_appliances",
    help: "Appliances by role and state. An appliance in state offline has stopped its heartbeats: look at the box.",
    labelNames: ["role", "state"] as const,
    registers,
    collect: () => countAtScrape(),
  });
  return {
    registry,
    calls: new Counter({
      name: "millrace_control_plane_calls_total",
      help: "gRPC calls answered, by method and status. INTERNAL is a bug: see the log. UNAVAILABLE: database or fleet are away.",
      labelNames: ["method", "status"] as const,
      registers,
    }),
    callSeconds: new Histogram({
      name: "millrace_control_plane_call_seconds",
      help: "Time to answer a gRPC call. Rising for all methods at once: the database's disk is slow or the processor is full.",
      labelNames: ["method"] as const,
      buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5],
      registers,
    }),
    appliances,
    /** `count` sets `appliances`, at each scrape. */
    countAppliances: (count: () => void) => void (countAtScrape = count),
    passwords: new Counter({
      name: "millrace_control_plane_passwords_total",
      help: "Passwords that argon2id has worked on. Far above the sign-ins: someone guesses, see the audit events sign-in-failed.",
      registers,
      collect() {
        this.reset();
        this.inc(passwordsWorked());
      },
    }),
    /** `worked` says how many there have been, at each scrape. */
    watchPasswords: (worked: () => number) => void (passwordsWorked = worked),
    rankings: new Counter({
      name: "millrace_control_plane_rankings_total",
      help: "Steering decisions, by result. short: fewer URLs than steering.minUrls, because too few appliances are healthy. empty: none.",
      labelNames: ["result"] as const,
      registers,
    }),
    rejections: new Counter({
      name: "millrace_control_plane_rejections_total",
      help: "Appliances passed over in steering decisions. H: unhealthy, see appliances. C: content missing, the fill is behind.",
      labelNames: ["letter"] as const,
      registers,
    }),
    heatReports: new Counter({
      name: "millrace_control_plane_heat_reports_total",
      help: "Reports of heat, by result. sent-before: acknowledged and not counted again; many of them are acknowledgements that get lost.",
      labelNames: ["result"] as const,
      registers,
    }),
    playbackNotLive: new Counter({
      name: "millrace_control_plane_playbacks_not_live_total",
      help: "Playbacks refused because too few clusters hold the title yet. Look at the fill of the clusters.",
      registers,
    }),
    holdingsGaps: new Counter({
      name: "millrace_control_plane_holdings_gaps_total",
      help: "Reports of holdings refused because one before was missing. A few follow a restart; steady growth is a faulty appliance.",
      registers,
    }),
  };
}

export type Metrics = ReturnType<typeof openMetrics>;
