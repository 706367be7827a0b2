// argon2id, off the event loop, so many at once and no more.
import { hash, verify } from "@node-rs/argon2";
import { OperatingError } from "../../runtime/operating-error.js";

export interface PasswordHasherOptions {
  memoryKiB: number;
  iterations: number;
  /** Each holds one of libuv's four threads (which name lookups and files need too) and its memory for some 20 ms. */
  atOnceMax: number;
  /** Those that wait for a turn; more are refused, so that whoever is let in is answered within the time of a call. */
  waitingMax: number;
}

export class PasswordHasher {
  readonly #options: PasswordHasherOptions;
  readonly #decoy: string;
  readonly #waiting: (() => void)[] = [];
  #running = 0;
  #worked = 0;

  private constructor(options: PasswordHasherOptions, decoy: string) {
    this.#options = options;
    this.#decoy = decoy;
  }

  static async open(options: PasswordHasherOptions): Promise<PasswordHasher> {
    return new PasswordHasher(options, await hash("nobody's password", parametersOf(options)));
  }

  /** How many passwords have been worked on: what an attacker's guesses come to. */
  get worked(): number {
    return this.#worked;
  }

  /** PHC text ("$argon2id$v=19$…"). @throws OperatingError "login-busy". */
  async hash(password: string): Promise<string> {
    return await this.#inTurn(() => hash(password, parametersOf(this.#options)));
  }

  /**
   * Whether `password` is the one of `passwordHash`. Without a hash (no such account) the same work is done on a decoy, so
   * that the time does not tell. @throws OperatingError "login-busy".
   */
  async verify(passwordHash: string | undefined, password: string): Promise<boolean> {
    const matches = await this.#inTurn(() => verify(passwordHash ?? this.#decoy, password));
    return matches && passwordHash !== undefined;
  }

  /** Whether the hash was made with other parameters than the ones in force. */
  isOutdated(passwordHash: string): boolean {
    const { memoryKiB, iterations } = this.#options;
    return !passwordHash.includes(`$m=${memoryKiB},t=${iterations},p=1$`);
  }

  async #inTurn<Value>(work: () => Promise<Value>): Promise<Value> {
    if (this.#running >= this.#options.atOnceMax) {
      if (this.#waiting.length >= this.#options.waitingMax) {
        throw new OperatingError("login-busy", "Cannot check the password now: too many are waiting", { retryable: true });
      }
      // Whoever finishes hands its turn over, so `#running` stays.
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    } else {
      this.#running++;
    }
    this.#worked++;
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#running--;
    }
  }
}

function parametersOf({ memoryKiB, iterations }: PasswordHasherOptions) {
  // The package's default algorithm is argon2id.
  return { memoryCost: memoryKiB, timeCost: iterations, parallelism: 1 };
}
