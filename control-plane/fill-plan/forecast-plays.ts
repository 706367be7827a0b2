// How often each title of a cluster will be played tomorrow: what was seen, what is expected of the new, and what the rest of the network sees.
import { ratesPerDay, type HeatLevel } from "./heat-level.js";

/** Share of the fast rate in what was seen; the slow rate has the rest. Chosen by `millrace bench popularity`: see docs/decisions. */
export const fastShare = 0.3;
/** Plays that the network's opinion counts for beside a cluster's own: a cluster that has seen many times more goes by itself. */
const networkPlays = 200;
/** A new title's prior halves so often, as releases do. */
const priorHalfLifeDays = 7;
/** Days of own plays that weigh as much as the prior. */
const priorWeightDays = 2;
/** Titles older than this have no prior: that nobody plays them is known by now. */
const priorAgeMaxDays = 28;
/** What a title that nobody plays is worth: less than any play, so that it fills only space that is free, the newest first. */
const playsPerDayIdle = 1e-6;
/** What new titles are expected to get where nobody has been seen yet; any number above 0 puts them in order of age. */
const playsPerDayUnknown = 1;
/** New titles are expected to do as well as the title at this quantile of those that are played. */
const priorQuantile = 0.9;

export interface TitleHistory {
  titleId: string;
  ageDays: number;
  /** Full plays of the whole title: bytes served by bytes of its objects. Undefined when none was seen. */
  own: HeatLevel | undefined;
  /** The same over all regions. */
  network: HeatLevel | undefined;
  /** What editors expect in the first days, plays per day; 0 = they say nothing. */
  editorialPlaysPerDay: number;
}

export interface TitleForecast {
  titleId: string;
  playsPerDay: number;
  fromFast: number;
  fromSlow: number;
  fromPrior: number;
}

/** @param weekdayFactor of the day that is forecast: scales all alike. */
export function forecastPlays(titles: readonly TitleHistory[], { nowMs, weekdayFactor }: { nowMs: number; weekdayFactor: number }) {
  const ownRates = titles.map(({ own }) => (own ? ratesPerDay(own, nowMs) : undefined));
  const networkRates = titles.map(({ network }) => {
    const rates = network && ratesPerDay(network, nowMs);
    return rates ? mix(rates) : 0;
  });
  const ownTotal = ownRates.reduce((sum, rates) => sum + (rates ? mix(rates) : 0), 0);
  const networkTotal = networkRates.reduce((sum, rate) => sum + rate, 0);
  // A Dirichlet prior: the cluster's own plays are worth themselves, the network's distribution is worth `networkPlays`.
  const networkWeight = networkTotal === 0 ? 0 : networkPlays / (ownTotal + networkPlays);
  // A cluster without plays of its own is planned by shares: only their order matters to it.
  const clusterTotal = ownTotal > 0 ? ownTotal : networkTotal;
  const expectedOfNew = quantileOf(networkRates, priorQuantile) || playsPerDayUnknown;
  return titles.map(({ titleId, ageDays, editorialPlaysPerDay }, at): TitleForecast => {
    const rates = ownRates[at];
    const share = networkTotal === 0 ? 0 : networkRates[at]! / networkTotal;
    const fromNetwork = networkWeight * share * clusterTotal;
    const fromFast = (1 - networkWeight) * (rates?.fast ?? 0) * fastShare;
    const fromSlow = (1 - networkWeight) * (rates?.slow ?? 0) * (1 - fastShare) + fromNetwork;
    const seen = fromFast + fromSlow;
    // A clock that was set back makes a title appear to come from the future: it is new.
    const age = Math.max(0, ageDays);
    const prior = age > priorAgeMaxDays ? 0 : (editorialPlaysPerDay || expectedOfNew) * 2 ** (-age / priorHalfLifeDays);
    const priorWeight = prior === 0 ? 0 : priorWeightDays / (priorWeightDays + age);
    const fromPrior = priorWeight * prior;
    const expected = (1 - priorWeight) * seen + fromPrior + playsPerDayIdle / (1 + age);
    return { titleId, playsPerDay: expected * weekdayFactor, fromFast, fromSlow, fromPrior };
  });
}

function mix({ fast, slow }: { fast: number; slow: number }): number {
  return fastShare * fast + (1 - fastShare) * slow;
}

function quantileOf(values: readonly number[], quantile: number): number {
  const played = values.filter((value) => value > 0).sort((a, b) => a - b);
  return played.length === 0 ? 0 : played[Math.min(played.length - 1, Math.floor(quantile * played.length))]!;
}
