// A worker thread of the generator: opens its connections, sends in a closed or an open loop, and leaves its figures on the board.
import { parentPort, workerData } from "node:worker_threads";
import { recordLatency } from "./latency-counts.js";
import { counter, errorSlot, openLoadBoard, type LoadBoard } from "./load-board.js";
import { LoadConnection, type ConnectionHost } from "./load-connection.js";
import type { LoadPlan } from "./load-plan.js";
import { rateFactor } from "./rate-curve.js";
import { RequestChooser } from "./request-chooser.js";

export interface LoadWorkerData {
  plan: LoadPlan;
  worker: number;
  memory: SharedArrayBuffer;
}

/** "start" begins the loop; "finish" stops sending and waits for what is under way; "stop" ends at once. */
export type LoadWorkerMessage = "start" | "finish" | "stop";

/** Measured from 16 KiB to 1 MiB: 64 KiB costs least per byte, for HTTP and HTTPS (docs/decisions/0010-load-generator.md). */
const readBufferBytes = 64 * 1024;
/** How often requests are checked for having taken too long. */
const timeoutSweepMs = 50;
/** A timer may be this late: nearer due times are waited for by turning the event loop. */
const timerSlackUs = 1500;
/** Requests sent in one turn of the open loop, so that responses are read in between when the generator is behind. */
const sendsPerTurn = 64;

class LoadWorker implements ConnectionHost {
  readonly plan: LoadPlan;
  readonly board: LoadBoard;
  readonly readBuffer = Buffer.allocUnsafeSlow(readBufferBytes);
  readonly #chooser: RequestChooser;
  readonly #connections: LoadConnection[] = [];
  /** Connections that can take a request; in the closed loop always empty while running. */
  readonly #free: LoadConnection[] = [];
  #state: "waiting" | "running" | "finishing" | "stopped" = "waiting";
  #startUs = 0;
  #sweep: NodeJS.Timeout | undefined;
  #verifyDebt = 0;

  // The open loop's clock; in the closed loop nothing is ever due.
  #nextDueUs = Number.POSITIVE_INFINITY;
  #nextReplayed: number;
  /** Connections of the open loop for which there is nothing more to ask for. */
  readonly #done = new Set<LoadConnection>();
  /** There is nothing more to ask for. */
  #exhausted = false;
  #turnPending = false;
  /** When the next request became free to go: when it was due, or when a connection became free, whichever was later. */
  #freeSinceUs = 0;
  /** What is due after this moment is not sent any more. */
  #finishUs = Number.POSITIVE_INFINITY;

  constructor(readonly data: LoadWorkerData) {
    this.plan = data.plan;
    this.board = openLoadBoard(data.memory);
    this.#chooser = new RequestChooser(data.plan, data.worker);
    this.#nextReplayed = data.worker;
    const { connections, workers } = data.plan;
    const own = Math.floor(connections / workers) + (data.worker < connections % workers ? 1 : 0);
    for (let i = 0; i < own; i++) this.#connections.push(new LoadConnection(this));
  }

  nowUs(): number {
    return performance.now() * 1000;
  }

  verifyNext(): boolean {
    this.#verifyDebt += this.plan.verifyShare;
    if (this.#verifyDebt < 1) return false;
    this.#verifyDebt -= 1;
    return true;
  }

  open(): void {
    for (const connection of this.#connections) connection.open();
    this.#sweep = setInterval(() => this.#giveUpLate(), timeoutSweepMs);
  }

  start(): void {
    this.#state = "running";
    this.#startUs = this.nowUs();
    const { loop } = this.plan;
    if (loop.kind === "open") {
      // Workers take turns, so that together they keep the rate even.
      this.#nextDueUs = this.#startUs + (this.data.worker * 1e6) / loop.requestsPerSecond;
      this.#turn();
    } else if (loop.kind === "replay") {
      this.#advanceDue();
      this.#turn();
    } else for (const connection of this.#free.splice(0)) this.#sendNow(connection);
  }

  finish(): void {
    if (this.#state !== "running") return;
    this.#state = "finishing";
    this.#finishUs = this.nowUs();
    this.#sendDue();
    this.#checkFinished();
    setTimeout(() => this.#giveUpUnsent(), this.plan.requestTimeoutMs);
  }

  stop(): void {
    this.#state = "stopped";
    clearInterval(this.#sweep);
    for (const connection of this.#connections) connection.close();
    parentPort?.close();
  }

  onFree(connection: LoadConnection): void {
    if (this.#state === "running" && this.plan.loop.kind === "closed") {
      this.#sendNow(connection);
      return;
    }
    this.#free.push(connection);
    if (this.#state !== "running" && this.#state !== "finishing") return;
    if (this.#free.length === 1) this.#freeSinceUs = this.nowUs();
    // A request that waits for a connection goes out at once, not with the clock's next turn.
    this.#sendDue();
    if (this.#state === "finishing" || this.#exhausted) this.#checkFinished();
  }

  onLost(connection: LoadConnection): void {
    const at = this.#free.indexOf(connection);
    if (at >= 0) this.#free.splice(at, 1);
    if (this.#state === "finishing" || this.#exhausted) this.#checkFinished();
  }

  #sendNow(connection: LoadConnection): void {
    const { crowd } = this.plan.requests;
    if (crowd !== null) this.#chooser.crowded = this.#fraction(this.nowUs()) >= crowd.atFraction;
    const choice = this.#chooser.next(connection.viewer);
    if (choice !== null) connection.send(choice, this.nowUs());
    else {
      this.#free.push(connection);
      this.#exhausted = true;
      this.#checkFinished();
    }
  }

  #turn(): void {
    this.#turnPending = false;
    if (this.#state !== "running") return;
    this.#sendDue();
    this.#scheduleTurn();
  }

  #scheduleTurn(): void {
    // A trace that has ended has nothing that is due any more.
    if (this.#turnPending || this.#state !== "running" || this.#nextDueUs === Number.POSITIVE_INFINITY) return;
    this.#turnPending = true;
    const waitUs = this.#nextDueUs - this.nowUs();
    // With no free connection the next answer drives the loop; the timer is only there to notice the end.
    if (this.#free.length === 0) setTimeout(() => this.#turn(), 1);
    else if (waitUs > timerSlackUs) setTimeout(() => this.#turn(), Math.max(1, Math.floor((waitUs - timerSlackUs) / 1000)));
    else setImmediate(() => this.#turn());
  }

  #sendDue(): void {
    for (let sent = 0; sent < sendsPerTurn && this.#free.length > 0; sent++) {
      const now = this.nowUs();
      if (this.#nextDueUs > Math.min(now, this.#finishUs)) return;
      const { crowd } = this.plan.requests;
      if (crowd !== null) this.#chooser.crowded = this.#fraction(this.#nextDueUs) >= crowd.atFraction;
      const connection = this.#free.pop()!;
      const choice = this.#chooser.next(connection.viewer);
      if (choice === null) {
        // Its viewer has seen everything; those of other connections may be in the middle of an object.
        this.#done.add(connection);
        if (this.#done.size < this.#connections.length) continue;
        this.#nextDueUs = Number.POSITIVE_INFINITY;
        this.#exhausted = true;
        this.#checkFinished();
        return;
      }
      recordLatency(this.board.sendLag, now - Math.max(this.#nextDueUs, this.#freeSinceUs));
      connection.send(choice, this.#nextDueUs);
      this.#advanceDue();
    }
  }

  /** Moves the clock to the next due time: it never waits for answers. */
  #advanceDue(): void {
    const { loop, requests, workers } = this.plan;
    if (loop.kind === "replay") {
      const dueSeconds = loop.dueSeconds[this.#nextReplayed];
      this.#nextReplayed += workers;
      this.#nextDueUs = dueSeconds === undefined ? Number.POSITIVE_INFINITY : this.#startUs + dueSeconds * 1e6;
      if (dueSeconds === undefined) this.#exhausted = true;
      return;
    }
    if (loop.kind === "closed") return;
    const fraction = this.#fraction(this.#nextDueUs);
    const crowdFactor = requests.crowd !== null && fraction >= requests.crowd.atFraction ? requests.crowd.rateFactor : 1;
    const rate = (loop.requestsPerSecond / workers) * rateFactor(loop.curve, fraction) * crowdFactor;
    const gapUs = 1e6 / rate;
    this.#nextDueUs += loop.arrivals === "poisson" ? -Math.log(1 - this.#chooser.random()) * gapUs : gapUs;
  }

  /** How much of the measured part of the run has passed: below 0 in the warm-up. */
  #fraction(us: number): number {
    return ((us - this.#startUs) / 1e6 - this.plan.warmupSeconds) / this.plan.seconds;
  }

  #giveUpLate(): void {
    const limit = this.nowUs() - this.plan.requestTimeoutMs * 1000;
    for (const connection of this.#connections) if (connection.busy && connection.sentUs < limit) connection.giveUp("timeout");
  }

  /** Requests that were due and found no connection in all that time: leaving them out would hide a server that stands still at the end. */
  #giveUpUnsent(): void {
    for (; this.#nextDueUs <= this.#finishUs; this.#advanceDue()) this.board.counters[errorSlot("unsent")]!++;
    this.#checkFinished();
  }

  #checkFinished(): void {
    const allSent = this.#exhausted || this.#nextDueUs > this.#finishUs || this.plan.loop.kind === "closed";
    if (allSent && !this.#connections.some((connection) => connection.busy)) this.board.counters[counter.finished] = 1;
  }
}

const worker = new LoadWorker(workerData as LoadWorkerData);
parentPort!.on("message", (message: LoadWorkerMessage) => worker[message]());
worker.open();
