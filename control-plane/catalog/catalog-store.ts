// Titles and their objects in the database.
import type { Transaction } from "kysely";
import type { Store } from "../store/database.js";
import { transact } from "../store/transact.js";
import type { Schema, TitleTable } from "../store/schema.js";
import { notePublished } from "./details-store.js";
import type { PageEnd } from "./page-token.js";

export interface StoredTitle {
  titleId: string;
  name: string;
  durationSeconds: number;
  hlsPath: string;
  dashPath: string;
  sizeBytes: number;
  objectCount: number;
  publishedAtUnixMs: number;
}

export interface StoredObject {
  path: string;
  sizeBytes: number;
  etag: string;
  chunkBytes: number;
}

/** Rows in one INSERT or values in one IN: SQLite takes 32,766 parameters in a statement. */
const rowsPerStatementMax = 1000;

export class CatalogStore {
  readonly #store: Store;

  constructor(store: Store) {
    this.#store = store;
  }

  /**
   * Adds the title or takes the place of the one with its id, objects and all, in one transaction. The title as it is now: with the name
   * that a person gave it where one did.
   * @throws OperatingError "title-kind-fixed".
   */
  async replaceTitle(published: StoredTitle, objects: readonly StoredObject[], media = ""): Promise<StoredTitle> {
    return await transact(this.#store, async (transaction) => {
      await countRevision(transaction);
      const title = { ...published, ...(await notePublished(transaction, { titleId: published.titleId, name: published.name, media })) };
      await transaction.deleteFrom("title").where("title_id", "=", title.titleId).execute();
      await transaction.deleteFrom("title_object").where("title_id", "=", title.titleId).execute();
      await transaction.insertInto("title").values(rowOf(title)).execute();
      const rows = objects.map((object, position) => ({
        title_id: title.titleId,
        path: object.path,
        size_bytes: object.sizeBytes,
        etag: object.etag,
        chunk_bytes: object.chunkBytes,
        position,
      }));
      for (let at = 0; at < rows.length; at += rowsPerStatementMax) {
        await transaction
          .insertInto("title_object")
          .values(rows.slice(at, at + rowsPerStatementMax))
          .execute();
      }
      return title;
    });
  }

  /** Newest first; those after `after` where it is given. */
  async listTitles(limit: number, after?: PageEnd): Promise<StoredTitle[]> {
    let query = this.#store.selectFrom("title").selectAll();
    if (after) {
      query = query.where((where) =>
        where.or([
          where("published_at_unix_ms", "<", after.publishedAtUnixMs),
          where.and([where("published_at_unix_ms", "=", after.publishedAtUnixMs), where("title_id", ">", after.titleId)]),
        ]),
      );
    }
    const rows = await query.orderBy("published_at_unix_ms", "desc").orderBy("title_id").limit(limit).execute();
    return rows.map(titleOf);
  }

  async getTitle(titleId: string): Promise<{ title: StoredTitle; objects: StoredObject[] } | undefined> {
    const row = await this.#store.selectFrom("title").selectAll().where("title_id", "=", titleId).executeTakeFirst();
    if (!row) return undefined;
    const objects = await this.#store
      .selectFrom("title_object")
      .select(["path", "size_bytes as sizeBytes", "etag", "chunk_bytes as chunkBytes"])
      .where("title_id", "=", titleId)
      .orderBy("position")
      .execute();
    return { title: titleOf(row), objects };
  }

  /** The entity tag of each path that is in the catalog; the newest title's where several have the path. */
  async etagsOf(paths: readonly string[]): Promise<Map<string, string>> {
    const etags = new Map<string, string>();
    for (let at = 0; at < paths.length; at += rowsPerStatementMax) {
      const rows = await this.#store
        .selectFrom("title_object")
        .innerJoin("title", "title.title_id", "title_object.title_id")
        .select(["title_object.path as path", "title_object.etag as etag"])
        .where("title_object.path", "in", paths.slice(at, at + rowsPerStatementMax))
        .orderBy("title.published_at_unix_ms")
        .orderBy("title.title_id", "desc")
        .execute();
      for (const { path, etag } of rows) etags.set(path, etag);
    }
    return etags;
  }

  /** The title of each path that is in the catalog; the newest where several have the path. */
  async titlesOf(paths: readonly string[]): Promise<Map<string, string>> {
    const titles = new Map<string, string>();
    for (let at = 0; at < paths.length; at += rowsPerStatementMax) {
      const rows = await this.#store
        .selectFrom("title_object")
        .innerJoin("title", "title.title_id", "title_object.title_id")
        .select(["title_object.path as path", "title.title_id as titleId"])
        .where("title_object.path", "in", paths.slice(at, at + rowsPerStatementMax))
        .orderBy("title.published_at_unix_ms")
        .orderBy("title.title_id", "desc")
        .execute();
      for (const { path, titleId } of rows) titles.set(path, titleId);
    }
    return titles;
  }

  /** What every title is, in short, the newest first. */
  async listTitleVersions(): Promise<{ titleId: string; publishedAtUnixMs: number; sizeBytes: number; objectCount: number }[]> {
    return await this.#store
      .selectFrom("title")
      .select([
        "title_id as titleId",
        "published_at_unix_ms as publishedAtUnixMs",
        "size_bytes as sizeBytes",
        "object_count as objectCount",
      ])
      .orderBy("published_at_unix_ms", "desc")
      .orderBy("title_id")
      .execute();
  }

  /** The objects of some titles, each title's in their order. */
  async listObjectsOf(titleIds: readonly string[]): Promise<(Omit<StoredObject, "chunkBytes"> & { titleId: string })[]> {
    if (titleIds.length === 0) return [];
    return await this.#store
      .selectFrom("title_object")
      .select(["title_id as titleId", "path", "size_bytes as sizeBytes", "etag"])
      .where("title_id", "in", titleIds)
      .orderBy("title_id")
      .orderBy("position")
      .execute();
  }

  /** Grows with every change of the catalog; 0 before the first. */
  async readRevision(): Promise<number> {
    const row = await this.#store.selectFrom("catalog_revision").select("revision").where("id", "=", 1).executeTakeFirst();
    return row?.revision ?? 0;
  }
}

async function countRevision(transaction: Transaction<Schema>): Promise<void> {
  const { numUpdatedRows } = await transaction
    .updateTable("catalog_revision")
    .set((set) => ({ revision: set("revision", "+", 1) }))
    .where("id", "=", 1)
    .executeTakeFirst();
  if (numUpdatedRows === 0n) await transaction.insertInto("catalog_revision").values({ id: 1, revision: 1 }).execute();
}

function rowOf(title: StoredTitle): TitleTable {
  return {
    title_id: title.titleId,
    name: title.name,
    duration_seconds: title.durationSeconds,
    hls_path: title.hlsPath,
    dash_path: title.dashPath,
    size_bytes: title.sizeBytes,
    object_count: title.objectCount,
    published_at_unix_ms: title.publishedAtUnixMs,
  };
}

function titleOf(row: TitleTable): StoredTitle {
  return {
    titleId: row.title_id,
    name: row.name,
    durationSeconds: row.duration_seconds,
    hlsPath: row.hls_path,
    dashPath: row.dash_path,
    sizeBytes: row.size_bytes,
    objectCount: row.object_count,
    publishedAtUnixMs: row.published_at_unix_ms,
  };
}
