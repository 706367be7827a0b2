// Gathers a run's rounds into a BenchResult, so that what was measured can be had at any moment.
import { benchResultSchema, type BenchResult, type Round, type Subject, type WorkloadFacts, type WorkloadRun } from "./bench-result.js";
import { readCommit, readMachineFacts } from "./machine-facts.js";
import { mediansOf } from "./medians.js";

/** From this share of its cores on, the generator may be what was measured. */
const saturatedShare = 0.9;
/** Interrupts and the system's own work stay below this on a quiet machine. */
const disturbedShare = 0.1;
/** A run of which less came from disk was not cold: an eighth of the set may be in the server's memory. */
const coldShare = 0.8;
/** Sending later than this on the 99th percentile blurs what the open loop says. */
const lateMs = 2;

export class ResultBuilder {
  readonly #result: BenchResult;
  #otherCpuShareMax = 0;

  constructor(kind: BenchResult["kind"], commandArguments: readonly string[]) {
    this.#result = {
      schema: benchResultSchema,
      tool: "millrace bench",
      kind,
      startedAt: new Date().toISOString(),
      finishedAt: "",
      complete: false,
      machine: readMachineFacts(),
      commit: readCommit(),
      arguments: [...commandArguments],
      notes: [],
      subjects: [],
      runs: [],
      verdict: { ok: false, text: "" },
    };
  }

  addSubject(subject: Subject): void {
    this.#result.subjects.push(subject);
  }

  note(text: string): void {
    if (!this.#result.notes.includes(text)) this.#result.notes.push(text);
  }

  /**
   * Adds a round to the run of this subject, scheme and workload. `sameCores`: server and generator have equally many cores, so that the one
   * that spends more is the narrower place.
   */
  addRound(
    round: Round,
    of: { subject: string; scheme: "http" | "https"; workload: WorkloadFacts; generator: string; workers: number; sameCores?: boolean },
  ): void {
    const { subject, scheme, workload, generator, workers, sameCores = false } = of;
    let run = this.#result.runs.find(
      (run) => run.subject === subject && run.scheme === scheme && run.workload.name === workload.name && run.generator === generator,
    );
    if (run === undefined) {
      run = { subject, scheme, workload, generator, rounds: [], medians: mediansOf([]) };
      this.#result.runs.push(run);
    }
    this.#otherCpuShareMax = Math.max(this.#otherCpuShareMax, round.total.otherCpuShare ?? 0);
    run.rounds.push(round);
    run.medians = mediansOf(run.rounds);
    if (round.background !== null && round.background.seconds < round.total.seconds * 0.8) {
      const { background, total } = round;
      this.note(
        `${workload.name} on ${subject} (${scheme}): the fill beside the load was over after ${background.seconds.toFixed(1)} of ` +
          `${total.seconds.toFixed(1)} s: more --fill-objects or a lower --fill-rate make it last`,
      );
    }
    const { cpuSeconds, sendLag } = round.total.generator;
    const where = `${workload.name} on ${subject} (${scheme})`;
    const closedLoop = workload.flags["rate"] === 0 && (workload.flags["trace"] ?? "") === "";
    if (closedLoop) {
      const share = cpuSeconds === null ? 0 : cpuSeconds / round.total.seconds / workers;
      const serverCpuSeconds = round.total.server.cpuSeconds;
      if (share > saturatedShare) this.note(`${where}: the generator had no processor time to spare; the server may do more than this`);
      else if (sameCores && cpuSeconds !== null && serverCpuSeconds !== null && cpuSeconds > serverCpuSeconds) {
        this.note(`${where}: the generator needed more processor time than the server; compare CPU s/GB rather than GB/s`);
      }
    } else if (sendLag !== null && sendLag.p99 > lateMs) {
      this.note(
        `${where}: the generator sent 1 % of the requests more than ${sendLag.p99.toFixed(1)} ms late; latencies hold that time too`,
      );
    }
  }

  /** The result so far. `complete` is false when the run was cut short. */
  finish(complete: boolean): BenchResult {
    const result = this.#result;
    if (this.#otherCpuShareMax > disturbedShare) {
      const percent = Math.round(this.#otherCpuShareMax * 100);
      this.note(
        `other programs used up to ${percent} % of this machine's processors during the rounds: compare CPU s/GB rather than GB/s and latencies`,
      );
    }
    for (const run of result.runs) if (run.workload.flags["pageCache"] === "dropped") this.note(fromDiskText(run));
    result.finishedAt = new Date().toISOString();
    result.complete = complete;
    result.verdict = verdictOf(result);
    return result;
  }
}

function verdictOf(result: BenchResult): BenchResult["verdict"] {
  const rounds = result.runs.flatMap((run) => run.rounds);
  const interrupted = result.complete ? "" : "INTERRUPTED, this is what was measured until then. ";
  if (rounds.length === 0) return { ok: false, text: `${interrupted}FAILED: nothing was measured` };
  const problems: string[] = [];
  for (const run of result.runs) {
    const where = `${run.workload.name} on ${run.subject} (${run.scheme})`;
    const failed = run.medians.errors;
    const good = run.rounds.reduce((sum, round) => sum + round.total.requests, 0);
    if (run.medians.wrongBytes !== null && run.medians.wrongBytes > 0) problems.push(`${where}: ${run.medians.wrongBytes} wrong bytes`);
    if (good === 0) problems.push(`${where}: no request succeeded (${errorsText(run) || "nothing was answered"})`);
    else if (failed > 0) problems.push(`${where}: ${failed} of ${failed + good} requests failed (${errorsText(run)})`);
  }
  if (problems.length > 0) return { ok: false, text: `${interrupted}FAILED: ${problems.join("; ")}` };
  const requests = rounds.reduce((sum, round) => sum + round.total.requests, 0);
  const checked = rounds.reduce((sum, round) => sum + (round.total.verified?.bytes ?? 0), 0);
  const bytes = checked === 0 ? "no body was checked" : `no wrong byte in ${(checked / 1e9).toFixed(2)} GB checked`;
  return { ok: true, text: `${interrupted}OK: ${requests} requests, none failed, ${bytes}` };
}

/** How cold a cold run was. Read-ahead can make it more than what was sent. */
function fromDiskText(run: WorkloadRun): string {
  const where = `${run.workload.name} on ${run.subject} (${run.scheme})`;
  let [readBytes, bodyBytes] = [0, 0];
  for (const { total } of run.rounds) {
    if (total.server.diskReadBytes === null) return `${where}: how much came from disk is not known`;
    readBytes += total.server.diskReadBytes;
    bodyBytes += total.bodyBytes;
  }
  const share = bodyBytes === 0 ? 0 : readBytes / bodyBytes;
  const percent = `${Math.round(share * 100)} % of the bytes sent`;
  return share >= coldShare ? `${where}: read from disk: ${percent}` : `${where}: NOT COLD: only ${percent} were read from disk`;
}

function errorsText(run: WorkloadRun): string {
  const sums = new Map<string, number>();
  for (const { total } of run.rounds) {
    for (const [kind, count] of Object.entries(total.errors)) sums.set(kind, (sums.get(kind) ?? 0) + (count ?? 0));
  }
  return [...sums].map(([kind, count]) => `${kind} ${count}`).join(", ");
}
