// SQLite in a file, by libsql: the store that needs no server.
import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import {
  CompiledQuery,
  SelectQueryNode,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
  type DatabaseConnection,
  type Dialect,
  type Driver,
  type QueryResult,
} from "kysely";
import Database from "libsql";
import { errnoOf, messageOf, OperatingError } from "../../runtime/operating-error.js";
import { statementParameters } from "./statement-parameters.js";

/** How long a statement waits for another process's transaction before it is given up. */
const busyMaxMs = 5000;
/** Between two tries. The thread goes on meanwhile: SQLite's own waiting would hold it. */
const busyTryEveryMs = 5;

/**
 * Opens or makes the database file at `path`, in WAL mode. Every commit is synced to the disk before it returns
 * (synchronous=FULL; NORMAL would lose the last commits with the power).
 *
 * @throws OperatingError "database-unusable".
 */
export function openSqliteDialect(path: string): Dialect {
  let database: Database.Database;
  try {
    mkdirSync(dirname(path), { recursive: true });
    database = new Database(path);
    database.pragma("busy_timeout = 2000");
    database.pragma("journal_mode = WAL");
    database.pragma("synchronous = FULL");
    database.pragma("foreign_keys = ON");
    // Waiting for other processes is SqliteConnection's from here on.
    database.pragma("busy_timeout = 0");
    database.defaultSafeIntegers(true);
  } catch (error) {
    throw new OperatingError("database-unusable", `Cannot open database ${path}: ${messageOf(error)}`, { source: path, cause: error });
  }
  return {
    createAdapter: () => new SqliteAdapter(),
    createDriver: () => new SqliteDriver(database),
    createIntrospector: (kysely) => new SqliteIntrospector(kysely),
    createQueryCompiler: () => new SqliteQueryCompiler(),
  };
}

/** One connection, which a transaction has for itself. */
class SqliteDriver implements Driver {
  readonly #database: Database.Database;
  readonly #connection: SqliteConnection;
  /** Settles when whoever came last has released the connection. */
  #lastTurn: Promise<void> = Promise.resolve();
  #release = () => {};

  constructor(database: Database.Database) {
    this.#database = database;
    this.#connection = new SqliteConnection(database);
  }

  async init(): Promise<void> {}

  async acquireConnection(): Promise<DatabaseConnection> {
    const turnBefore = this.#lastTurn;
    let release = () => {};
    this.#lastTurn = new Promise((resolve) => {
      release = resolve;
    });
    await turnBefore;
    this.#release = release;
    return this.#connection;
  }

  releaseConnection(): Promise<void> {
    this.#release();
    return Promise.resolve();
  }

  async beginTransaction(connection: DatabaseConnection): Promise<void> {
    // A plain "begin" fails later, at the first write, when another process has written since; that can't be waited for.
    await connection.executeQuery(CompiledQuery.raw("begin immediate"));
  }

  async commitTransaction(connection: DatabaseConnection): Promise<void> {
    await connection.executeQuery(CompiledQuery.raw("commit"));
  }

  async rollbackTransaction(connection: DatabaseConnection): Promise<void> {
    // After a full disk or an I/O error SQLite has rolled back by itself.
    if (this.#database.inTransaction) await connection.executeQuery(CompiledQuery.raw("rollback"));
  }

  destroy(): Promise<void> {
    this.#database.close();
    return Promise.resolve();
  }
}

const transactionWords: ReadonlySet<string> = new Set(["begin immediate", "commit", "rollback"]);

class SqliteConnection implements DatabaseConnection {
  readonly #database: Database.Database;
  readonly #transactionStatements = new Map<string, Database.Statement>();

  constructor(database: Database.Database) {
    this.#database = database;
  }

  async executeQuery<Row>({ sql, parameters, query }: CompiledQuery): Promise<QueryResult<Row>> {
    const bound = statementParameters(parameters);
    const givenUpAtMs = performance.now() + busyMaxMs;
    const statement = this.#prepare(withoutRowLocks(sql, query));
    for (;;) {
      try {
        if (statement.reader) return { rows: statement.all(bound) as Row[] };
        const { changes } = statement.run(bound);
        return { rows: [], numAffectedRows: BigInt(changes) };
      } catch (error) {
        // A busy statement has done nothing, so it may be said again.
        if (!errnoOf(error)?.startsWith("SQLITE_BUSY") || performance.now() > givenUpAtMs) throw error;
        await wait(busyTryEveryMs * (1 + Math.random()));
      }
    }
  }

  /**
   * One statement for all tries, and for all transactions: libsql resets it before each. One that was left busy would hold on
   * to the database as it was then, and keep this connection from writing until the garbage collector comes by.
   */
  #prepare(sql: string): Database.Statement {
    if (!transactionWords.has(sql)) return this.#database.prepare(sql);
    let statement = this.#transactionStatements.get(sql);
    if (!statement) this.#transactionStatements.set(sql, (statement = this.#database.prepare(sql)));
    return statement;
  }

  // Nothing of ours streams: pages do.
  // oxlint-disable-next-line require-yield
  async *streamQuery(): AsyncIterableIterator<never> {
    throw new Error("Streams of rows are not used with SQLite");
  }
}

/** A transaction has the whole file for itself, so "for update", which MySQL needs, says nothing here; SQLite does not know the words. */
function withoutRowLocks(sql: string, query: CompiledQuery["query"]): string {
  return SelectQueryNode.is(query) && query.endModifiers ? sql.replace(/ for update$/, "") : sql;
}
