// Keeps what the appliance says that it holds in line with its disks: what lies on a disk that is away does not count, from the moment that it is away.
import { setImmediate as turn } from "node:timers/promises";
import type { Log } from "../../runtime/log.js";
import { messageOf } from "../../runtime/operating-error.js";
import type { DiskSet } from "../disk/disk-set.js";
import type { ChunkIndex } from "../index/chunk-index.js";

/** Objects that are looked at in one turn: some milliseconds. */
const versionsPerTurn = 1000;

export interface DiskInventoryOptions {
  disks: DiskSet;
  index: ChunkIndex;
  /** These paths are held more, or less, than before: the control plane is to be told. */
  onHeldChanged: (paths: readonly string[]) => void;
  /** All of them were named. */
  onTold: () => void;
  log: Log;
}

export class DiskInventory {
  readonly #options: DiskInventoryOptions;
  #settling: Promise<void> = Promise.resolve();

  constructor(options: DiskInventoryOptions) {
    this.#options = options;
  }

  /**
   * At the start, and after every change of a disk's state. One transaction makes the index count without what is away, however much that is;
   * then the objects that it concerns are named, some at a time.
   */
  settle(): Promise<void> {
    this.#settling = this.#settling
      .then(() => this.#settle())
      .catch((error: unknown) => this.#options.log.error({ error: messageOf(error) }, "the index could not be told which disks are away"));
    return this.#settling;
  }

  async #settle(): Promise<void> {
    const { disks, index, log, onHeldChanged, onTold } = this.#options;
    const before = index.disksAway();
    // A disk that is not in the settings any more is away too.
    const away = new Set(index.knownDisks().flatMap(({ diskNumber }) => (disks.isAway(diskNumber) ? [diskNumber] : [])));
    if (!(await index.setDisksAway(away))) return;
    index.seeLatest();
    const changed = new Set([...away, ...before].filter((diskNumber) => away.has(diskNumber) !== before.has(diskNumber)));
    let objects = 0;
    for (let after: Buffer | undefined; ;) {
      const versions = index.versionsAfter(after, versionsPerTurn);
      const paths = versions.filter(({ diskNumbers }) => diskNumbers.some((one) => changed.has(one))).map(({ path }) => path);
      if (paths.length > 0) onHeldChanged(paths);
      objects += paths.length;
      after = versions.at(-1)?.objectKey;
      if (versions.length < versionsPerTurn) break;
      await turn();
    }
    onTold();
    log.info({ disksAway: [...away].map((one) => disks.find(one)?.path ?? `number ${one}`), objects }, "what is held was counted anew");
  }
}
