// A MariaDB and a Redis server of a test's own, on loopback, each in a folder that goes with it.
import assert from "node:assert/strict";
import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { Redis } from "ioredis";
import { createConnection, type Connection } from "mysql2";
import { freePort } from "./free-port.js";
import { waitUntil } from "./wait-until.js";

export interface TestServer {
  port: number;
  /** The process, for tests that stop it for a while (SIGSTOP, SIGCONT). */
  pid: number;
  /** At once, as a crash does (SIGKILL). */
  kill(): Promise<void>;
  /** With what is in its folder, on the same port. */
  startAgain(): Promise<void>;
}

export interface MariadbServer extends TestServer {
  /** A new, empty database, as a URL for the control plane. */
  makeDatabase(): Promise<string>;
}

/** Small, and without the syncs that a test of ours has no use for: a killed server (not a lost machine) keeps its commits. */
const mariadbArguments = [
  "--no-defaults",
  "--bind-address=127.0.0.1",
  "--skip-name-resolve",
  "--skip-log-bin",
  "--performance-schema=OFF",
  "--innodb-buffer-pool-size=16M",
  "--innodb-log-file-size=8M",
  "--innodb-flush-log-at-trx-commit=2",
  "--innodb-fast-shutdown=2",
];
const user = "millrace";
const password = "p@ss:word/";

/** Starts mariadbd with its data below `folder`; resolves when it answers. It is killed when this process ends. */
export async function startMariadb(folder: string): Promise<MariadbServer> {
  const data = join(folder, "data");
  // As root it must be told to stay root.
  const asUser = process.getuid?.() === 0 ? ["--user=root"] : [];
  const socket = join(folder, "s");
  // Of its own: a mariadbd that starts deletes what others have in the system's.
  const temporary = join(folder, "tmp");
  mkdirSync(temporary, { recursive: true });
  execFileSync(
    "mariadb-install-db",
    ["--no-defaults", `--datadir=${data}`, "--skip-test-db", "--auth-root-authentication-method=normal", ...asUser],
    {
      stdio: "pipe",
      env: { ...process.env, TMPDIR: temporary },
    },
  );
  const server = await startServer(
    (port) => [
      "mariadbd",
      [...mariadbArguments, `--datadir=${data}`, `--tmpdir=${temporary}`, `--socket=${socket}`, `--port=${port}`, ...asUser],
    ],
    async (port) => {
      const connection = createConnection({ host: "127.0.0.1", port, user, password });
      try {
        await ask(connection, "select 1").catch(async (error: unknown) => {
          // The first time the account is not there yet.
          if ((error as { code?: string }).code !== "ER_ACCESS_DENIED_ERROR") throw error;
          const root = createConnection({ socketPath: socket, user: "root" });
          await ask(root, `create user '${user}'@'%' identified by '${password}'`);
          await ask(root, `grant all on *.* to '${user}'@'%'`);
          root.destroy();
        });
      } finally {
        connection.destroy();
      }
    },
  );
  let databases = 0;
  return Object.assign(server, {
    makeDatabase: async () => {
      const name = `test_${databases++}`;
      const connection = createConnection({ host: "127.0.0.1", port: server.port, user, password });
      await ask(connection, `create database ${name}`);
      connection.destroy();
      return `mysql://${user}:${encodeURIComponent(password)}@127.0.0.1:${server.port}/${name}`;
    },
  });
}

/** Starts redis-server in `folder`; resolves when it answers. It is killed when this process ends. */
export async function startRedis(folder: string): Promise<TestServer & { url: string }> {
  const server = await startServer(
    (port) => ["redis-server", ["--port", String(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", folder]],
    async (port) => {
      const redis = new Redis({ host: "127.0.0.1", port, lazyConnect: true, retryStrategy: () => null });
      redis.on("error", () => {});
      try {
        await redis.ping();
      } finally {
        redis.disconnect();
      }
    },
  );
  return Object.assign(server, { url: `redis://127.0.0.1:${server.port}` });
}

async function startServer(
  commandOf: (port: number) => [program: string, arguments: string[]],
  probe: (port: number) => Promise<void>,
): Promise<TestServer> {
  let child: ChildProcess | undefined;
  process.once("exit", () => child?.kill("SIGKILL"));
  const start = async (port: number) => {
    const [program, args] = commandOf(port);
    const started = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"] });
    child = started;
    let said = "";
    for (const stream of [started.stdout, started.stderr]) stream.on("data", (text: Buffer) => (said = (said + String(text)).slice(-4000)));
    // A test file ends although its servers still run.
    started.unref();
    for (const stream of [started.stdout, started.stderr]) (stream as unknown as { unref(): void }).unref();
    await waitUntil(`${program} answers on port ${port}`, async () => {
      if (started.exitCode !== null) return "ended" as const;
      await probe(port);
      return "answers" as const;
    }).then((state) => assert.equal(state, "answers", `${program} has ended:\n${said}`));
    return started;
  };
  // Someone else may take the port between our looking and its listening.
  let port = 0;
  for (let tryNumber = 1; ; tryNumber++) {
    port = await freePort();
    try {
      await start(port);
      break;
    } catch (error) {
      if (tryNumber === 3) throw error;
    }
  }
  return {
    port,
    get pid() {
      return child!.pid!;
    },
    kill: async () => {
      child!.ref();
      const ended = once(child!, "exit");
      child!.kill("SIGKILL");
      await ended;
    },
    startAgain: async () => void (await start(port)),
  };
}

function ask(connection: Connection, statement: string): Promise<void> {
  return new Promise((resolve, reject) => connection.query(statement, (error) => (error ? reject(error as Error) : resolve())));
}
