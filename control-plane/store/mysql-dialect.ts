// MySQL and MariaDB, by mysql2: the store that several copies of the control plane share.
import {
  CreateTableNode,
  MysqlDialect,
  sql,
  type Dialect,
  type KyselyPlugin,
  type MysqlPool,
  type MysqlPoolConnection,
  type PluginTransformQueryArgs,
  type PluginTransformResultArgs,
  type QueryResult,
  type RootOperationNode,
  type UnknownRow,
} from "kysely";
import { createPool, type PoolConnection, type PoolOptions } from "mysql2";
import { messageOf, OperatingError } from "../../runtime/operating-error.js";
import { redactedUrl } from "./redacted-url.js";
import { statementParameters } from "./statement-parameters.js";

/** Connections of one copy. A statement holds one for about a millisecond; argon2, not the database, bounds logins. */
const connectionsMax = 16;
/** Calls that wait for a connection; with a database that hangs, the next ones are refused at once. */
const waitingMax = 1000;
const connectMaxMs = 2000;
/** A statement that takes longer is given up, and its connection with it: less than the 10 s that a call may take. */
const statementMaxMs = 5000;
/** How long a statement waits for another transaction's row lock. */
const lockWaitMaxSeconds = 3;
const idleMaxMs = 60_000;

/** A migration may take longer than a statement of a call. */
const migrationStatement = /^\s*(create|alter|drop|select get_lock)/i;
const migrationMaxMs = 600_000;

/**
 * Connects to the server that `url` names: mysql://user:password@host:port/database, with ?socket=/path for a Unix socket.
 *
 * @throws OperatingError "database-unusable" when it can't be reached, refuses us or has no such database.
 */
export async function openMysqlDialect(url: string): Promise<{ dialect: Dialect; plugins: KyselyPlugin[] }> {
  const pool = new SessionPool(poolOptionsOf(url));
  try {
    const version = await pool.readVersion();
    // Compare as SQLite does: by code points, and 'a' is not 'a '.
    const collation = /mariadb/i.test(version) ? "utf8mb4_nopad_bin" : "utf8mb4_0900_bin";
    return { dialect: new MysqlDialect({ pool }), plugins: [new TableOptions(collation)] };
  } catch (error) {
    pool.end(() => {});
    throw new OperatingError("database-unusable", `Cannot open database ${redactedUrl(url)}: ${messageOf(error)}`, {
      source: redactedUrl(url),
      retryable: true,
      cause: error,
    });
  }
}

function poolOptionsOf(url: string): PoolOptions {
  const { hostname, port, username, password, pathname, searchParams } = new URL(url);
  const socketPath = searchParams.get("socket");
  return {
    ...(socketPath === null ? { host: hostname.replace(/^\[|\]$/g, ""), port: port === "" ? 3306 : Number(port) } : { socketPath }),
    user: decodeURIComponent(username),
    password: decodeURIComponent(password),
    database: decodeURIComponent(pathname.slice(1)),
    charset: "utf8mb4",
    connectionLimit: connectionsMax,
    queueLimit: waitingMax,
    connectTimeout: connectMaxMs,
    maxIdle: connectionsMax,
    idleTimeout: idleMaxMs,
    enableKeepAlive: true,
    keepAliveInitialDelay: 10_000,
    typeCast: (field, next) => {
      if (field.type !== "LONGLONG" && field.type !== "NEWDECIMAL") return next();
      const text = field.string();
      return text !== null && /^-?\d+$/.test(text) ? BigInt(text) : text;
    },
  };
}

/** A pool whose connections are set up before their first use, have a time limit on each statement, and are thrown away when in doubt. */
class SessionPool implements MysqlPool {
  readonly #pool;
  readonly #connections = new WeakMap<PoolConnection, MysqlPoolConnection>();

  constructor(options: PoolOptions) {
    this.#pool = createPool(options);
  }

  getConnection(callback: (error: unknown, connection: MysqlPoolConnection) => void): void {
    this.#pool.getConnection((error, raw) => {
      if (error) return callback(error, undefined as never);
      const known = this.#connections.get(raw);
      if (known) return callback(undefined, known);
      const connection = new LimitedConnection(raw) as unknown as MysqlPoolConnection;
      setUpSession(raw, (error) => {
        if (error) raw.destroy();
        else this.#connections.set(raw, connection);
        callback(error, connection);
      });
    });
  }

  end(callback: (error: unknown) => void): void {
    this.#pool.end(callback);
  }

  readVersion(): Promise<string> {
    return new Promise((resolve, reject) =>
      this.getConnection((error, connection) => {
        if (error) return reject(error as Error);
        connection.query("select version() as version", [], (error, rows) => {
          connection.release();
          if (error) reject(error as Error);
          else resolve(String((rows as unknown as { version: string }[])[0]?.version));
        });
      }),
    );
  }
}

/**
 * Serializable, as SQLite is: what a transaction has read stays so until it commits, or it is rolled back by a deadlock and
 * `transact` runs it again. Strict: a value that does not fit is an error, not a shorter value.
 */
const sessionStatements = [
  "set session transaction isolation level serializable",
  `set session sql_mode = 'STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION', session innodb_lock_wait_timeout = ${lockWaitMaxSeconds}`,
];

function setUpSession(raw: PoolConnection, done: (error: unknown) => void, next = 0): void {
  const statement = sessionStatements[next];
  if (statement === undefined) return done(null);
  raw.query({ sql: statement, timeout: statementMaxMs }, (error) => (error ? done(error) : setUpSession(raw, done, next + 1)));
}

type QueryCallback = (error: unknown, result: unknown) => void;

class LimitedConnection {
  readonly #raw: PoolConnection;
  #destroyed = false;

  constructor(raw: PoolConnection) {
    this.#raw = raw;
  }

  query(sql: string, parameters: readonly unknown[], callback: QueryCallback): void {
    const timeout = migrationStatement.test(sql) ? migrationMaxMs : statementMaxMs;
    this.#raw.query({ sql, values: statementParameters(parameters), timeout }, (error, result) => {
      if (!error) return callback(null, result);
      // The server goes on with a statement that we have given up, and rolls back when the connection ends.
      if (error.fatal || error.code === "PROTOCOL_SEQUENCE_TIMEOUT" || sql === "rollback") this.#destroy();
      // Kysely would report the failed rollback instead of what made it necessary.
      if (sql === "rollback") return callback(null, []);
      callback(error, result);
    });
  }

  release(): void {
    if (!this.#destroyed) this.#raw.release();
  }

  #destroy(): void {
    if (!this.#destroyed) this.#raw.destroy();
    this.#destroyed = true;
  }
}

/** Adds what MySQL must be told of a table, so that migrations need not know it. */
class TableOptions implements KyselyPlugin {
  readonly #collation: string;

  constructor(collation: string) {
    this.#collation = collation;
  }

  transformQuery({ node }: PluginTransformQueryArgs): RootOperationNode {
    if (!CreateTableNode.is(node)) return node;
    const options = sql.raw(`engine=InnoDB row_format=dynamic character set utf8mb4 collate ${this.#collation}`).toOperationNode();
    return CreateTableNode.cloneWithEndModifier(node, options);
  }

  transformResult({ result }: PluginTransformResultArgs): Promise<QueryResult<UnknownRow>> {
    return Promise.resolve(result);
  }
}
