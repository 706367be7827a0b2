// One test of login, run once for every database.
import { eachStoreUrl, theRedis } from "./each-store.js";
import { openLoginControlPlane, type LoginControlPlane } from "./login-client.js";

/** With MariaDB the test has Redis and two copies with one clock; with SQLite there is one copy, which is both. */
export function eachLogin(name: string, use: (first: LoginControlPlane, second: LoginControlPlane, url: string) => Promise<void>): void {
  eachStoreUrl(name, async ({ url, kind }) => {
    const shared = kind === "mariadb" ? { shared: (await theRedis()).url } : {};
    const first = await openLoginControlPlane({ database: url, ...shared });
    const { clock, mailFolder } = first;
    const second = kind === "mariadb" ? await openLoginControlPlane({ database: url, ...shared, clock, mailFolder }) : first;
    try {
      await use(first, second, url);
    } finally {
      await first.close();
      if (second !== first) await second.close();
    }
  });
}
