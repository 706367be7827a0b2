// Reads Prometheus' text format into samples, and takes quantiles from its histograms.

interface Sample {
  name: string;
  labels: Readonly<Record<string, string>>;
  value: number;
}

export class Samples {
  readonly #samples: readonly Sample[];

  constructor(samples: readonly Sample[]) {
    this.#samples = samples;
  }

  /** The sum over all samples of `name` that have these labels; 0 when there is none. */
  sum(name: string, labels: Readonly<Record<string, string>> = {}): number {
    return this.#of(name, labels).reduce((sum, { value }) => sum + value, 0);
  }

  /** The values of `name` by the label `label`, in the order told. */
  by(name: string, label: string): Map<string, number> {
    return new Map(this.#of(name, {}).map(({ labels, value }) => [labels[label] ?? "", value]));
  }

  #of(name: string, labels: Readonly<Record<string, string>>): Sample[] {
    return this.#samples.filter(
      (sample) => sample.name === name && Object.entries(labels).every(([key, value]) => sample.labels[key] === value),
    );
  }
}

export function readSamples(text: string): Samples {
  const samples: Sample[] = [];
  for (const line of text.split("\n")) {
    const match = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})?\s+(\S+)/.exec(line);
    if (!match) continue;
    const labels = Object.fromEntries([...(match[2] ?? "").matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(([, key, value]) => [key!, value!]));
    samples.push({ name: match[1]!, labels, value: Number(match[3]) });
  }
  return new Samples(samples);
}

/**
 * The bound below which a share `quantile` of what the histogram `name` counted between two readings lies, over all its label sets; that is, the upper
 * bound of a bucket. Undefined when nothing was counted.
 */
export function quantileBetween(name: string, quantile: number, { from, to }: { from: Samples; to: Samples }): number | undefined {
  const bounds = [...to.by(`${name}_bucket`, "le").keys()];
  const counted = (le: string) => to.sum(`${name}_bucket`, { le }) - from.sum(`${name}_bucket`, { le });
  const total = counted("+Inf");
  if (total <= 0) return undefined;
  for (const le of bounds) if (counted(le) >= total * quantile) return le === "+Inf" ? Infinity : Number(le);
  return Infinity;
}
