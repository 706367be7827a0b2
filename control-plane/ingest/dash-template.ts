// Writes out the file names that a DASH <SegmentTemplate> stands for.
import type { XmlElement } from "./xml-tree.js";

/** Six days of 0.5-s segments; a template that stands for more is a mistake. */
const maxSegments = 1_000_000;

/**
 * The names of the initialization segment and of every media segment, or why they can't be told. `info` is the template in force,
 * `representation` the attributes of its <Representation>. ISO/IEC 23009-1 5.3.9.4 and 5.3.9.6.
 */
export function expandSegmentTemplate(
  info: XmlElement,
  representation: Readonly<Record<string, string>>,
  durationSeconds: number | undefined,
): string[] | { reason: string } {
  const { initialization, media, startNumber = "1", endNumber, timescale = "1", duration } = info.attributes;
  const names = initialization === undefined ? [] : [substitute(initialization, representation, 0, 0)];
  if (media === undefined) return { reason: "<SegmentTemplate> has no media attribute" };
  const first = Number(startNumber);
  const unitsPerSecond = Number(timescale);
  const endTime = durationSeconds === undefined ? undefined : durationSeconds * unitsPerSecond;
  if (!Number.isSafeInteger(first) || !(unitsPerSecond > 0))
    return { reason: "<SegmentTemplate> has a startNumber or timescale of nonsense" };
  const tooMany = { reason: `<SegmentTemplate> stands for more than ${maxSegments} segments` };

  const timeline = info.children.find(({ name }) => name === "SegmentTimeline");
  if (timeline) {
    let time = 0;
    let number = first;
    const runs = timeline.children.filter(({ name }) => name === "S");
    for (const [index, run] of runs.entries()) {
      time = run.attributes.t === undefined ? time : Number(run.attributes.t);
      const step = Number(run.attributes.d);
      const repeat = Number(run.attributes.r ?? 0);
      if (!(step > 0) || !Number.isInteger(repeat) || !Number.isFinite(time)) return { reason: "<SegmentTimeline> has a run of nonsense" };
      // A negative repeat count goes on to the next run, or to the end of the period.
      const until = Number(runs[index + 1]?.attributes.t ?? endTime);
      if (repeat < 0 && !Number.isFinite(until)) return { reason: "<SegmentTimeline> has a run without end" };
      const count = repeat < 0 ? Math.ceil((until - time) / step) : repeat + 1;
      if (number - first + count > maxSegments) return tooMany;
      for (let nth = 0; nth < count; nth++, number++, time += step) names.push(substitute(media, representation, number, time));
    }
    return names;
  }

  const step = Number(duration);
  const last = endNumber === undefined ? first + Math.ceil((endTime ?? NaN) / step - 1e-6) - 1 : Number(endNumber);
  if (!(step > 0) || !Number.isSafeInteger(last))
    return { reason: "<SegmentTemplate> does not say how many segments there are: it needs a <SegmentTimeline>, or durations" };
  if (last - first >= maxSegments) return tooMany;
  for (let number = first; number <= last; number++) names.push(substitute(media, representation, number, (number - first) * step));
  return names;
}

/** 5.3.9.4.4: $RepresentationID$, $Number$, $Bandwidth$, $Time$ (the last three with an optional %0[width]d) and $$. */
function substitute(template: string, representation: Readonly<Record<string, string>>, number: number, time: number): string {
  return template.replaceAll(/\$(RepresentationID|Number|Bandwidth|Time|)(?:%0(\d{1,2})d)?\$/g, (_, name: string, width?: string) => {
    const values: Readonly<Record<string, string>> = {
      "": "$",
      RepresentationID: representation.id ?? "",
      Bandwidth: representation.bandwidth ?? "",
      Number: String(number),
      Time: String(time),
    };
    return values[name]!.padStart(Number(width ?? 0), "0");
  });
}
