// Makes the bandwidth traces beside this file, the same ones every time: node bench/players/traces/make-traces.mjs
import { writeFileSync } from "node:fs";

const seconds = 300;

/** mulberry32, as in bench/load/seeded-random.ts; this file runs without a build. */
function seededRandom(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A line that gives what was paid for, a little more or less. */
function* fibre(random) {
  for (;;) yield 25 * (0.95 + 0.1 * random());
}

/** A line shared with a household: a random walk in steps of up to 12 % that is drawn back to 6 Mb/s. */
function* household(random) {
  let mbps = 6;
  for (;;) {
    mbps = (0.97 * mbps + 0.03 * 6) * (0.88 + 0.24 * random());
    yield mbps;
  }
}

/** A mobile line: four levels that last some 15 s each (a Markov chain), with noise, and now and then a tunnel without any for 5 s. */
function* mobile(random) {
  const levels = [0.8, 2, 4.5, 9];
  let level = 2;
  let tunnelLeft = 0;
  for (;;) {
    if (random() < 1 / 15) level = Math.min(3, Math.max(0, level + (random() < 0.5 ? -1 : 1)));
    if (tunnelLeft === 0 && random() < 1 / 100) tunnelLeft = 5;
    if (tunnelLeft > 0) {
      tunnelLeft--;
      yield 0;
    } else yield levels[level] * (0.7 + 0.6 * random());
  }
}

/** Good for a minute, bad for a minute: shows how a rule reacts to one step. */
function* steps() {
  for (let second = 0; ; second++) yield Math.floor(second / 60) % 2 === 0 ? 8 : 1.2;
}

const traces = { fibre: [fibre, 11], household: [household, 12], mobile: [mobile, 13], steps: [steps, 14] };
for (const [name, [make, seed]] of Object.entries(traces)) {
  const samples = make(seededRandom(seed));
  let text = "";
  for (let second = 0; second < seconds; second++) text += `${second} ${samples.next().value.toFixed(3)}\n`;
  writeFileSync(new URL(`${name}.txt`, import.meta.url), text);
}
