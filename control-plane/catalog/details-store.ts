// Titles' details in the database, with a revision that tells what has changed since.
import type { Transaction } from "kysely";
import { OperatingError } from "../../runtime/operating-error.js";
import type { Store } from "../store/database.js";
import type { Schema } from "../store/schema.js";
import { transact } from "../store/transact.js";
import { upsert } from "../store/upsert.js";
import { parentKindsOf } from "./details-rules.js";
import { bodyTextOf, detailsOf, kindNumberOf, titleKinds, type EditorialDetails, type StoredDetails } from "./title-details.js";

/** The one row of details_revision. */
const revisionRowId = 1;
/** An episode, its season, its series. */
const lineageMax = 3;

/** The last title of a page; the next begins after it. */
export interface DetailsPageEnd {
  /** The kind's number, or among the parts of one title the title's own number. */
  order: number;
  titleId: string;
}

export class DetailsStore {
  readonly #store: Store;

  constructor(store: Store) {
    this.#store = store;
  }

  /**
   * Writes all of them or none; how many were not so before.
   * @throws OperatingError "parent-unknown", "title-kind-fixed".
   */
  async put(titles: readonly EditorialDetails[]): Promise<number> {
    return await transact(this.#store, async (transaction) => {
      const revision = await nextRevision(transaction);
      const ids = [...new Set(titles.flatMap(({ titleId, parentId }) => (parentId === "" ? [titleId] : [titleId, parentId])))];
      const known = new Map((await rowsOf(transaction, ids)).map((row) => [row.title_id, row]));
      const kinds = new Map([...known].map(([titleId, { kind }]) => [titleId, titleKinds[kind - 1]!]));
      let changed = 0;
      for (const title of titles) {
        const { titleId, kind, parentId } = title;
        const parentKinds: readonly string[] = parentKindsOf[kind];
        if (parentKinds.length > 0 && !parentKinds.includes(kinds.get(parentId) ?? "")) {
          const why = `its parent ${parentId} is not a ${parentKinds.join(" or ")} of the catalog`;
          throw new OperatingError("parent-unknown", `Cannot write title ${titleId}: ${why}`, { source: titleId });
        }
        const before = known.get(titleId);
        if (before && before.kind !== kindNumberOf(kind)) await refuseOtherKind(transaction, title, before.published !== 0);
        kinds.set(titleId, kind);
        const row = {
          title_id: titleId,
          kind: kindNumberOf(kind),
          parent_id: parentId,
          number: title.number,
          name: title.name,
          revision,
          edited: 1,
          body: bodyTextOf(title),
          media: before?.media ?? "",
        };
        const isSame =
          before?.edited === 1 &&
          before.kind === row.kind &&
          before.parent_id === row.parent_id &&
          before.number === row.number &&
          before.name === row.name &&
          before.body === row.body;
        if (isSame) continue;
        await upsert(transaction, "title_details", { row, key: ["title_id"] });
        // The same name in lists and in the player.
        await transaction.updateTable("title").set({ name: title.name }).where("title_id", "=", titleId).execute();
        known.set(titleId, { ...row, published: before?.published ?? 0 });
        changed++;
      }
      return changed;
    });
  }

  async get(titleId: string): Promise<StoredDetails | undefined> {
    const [row] = await rowsOf(this.#store, [titleId]);
    return row && detailsOf(row);
  }

  /** The title, then what it is part of, outwards; empty when it is not known. */
  async lineage(titleId: string): Promise<StoredDetails[]> {
    const lineage: StoredDetails[] = [];
    for (let id = titleId; id !== "" && lineage.length < lineageMax; id = lineage.at(-1)!.parentId) {
      const title = await this.get(id);
      if (!title) break;
      lineage.push(title);
    }
    return lineage;
  }

  /** By kind and id; the parts of `parentId`, where it is given, by number and id. */
  async list(limit: number, { parentId, after }: { parentId?: string; after?: DetailsPageEnd | undefined }): Promise<StoredDetails[]> {
    const order = parentId === undefined ? "title_details.kind" : "title_details.number";
    let query = select(this.#store);
    if (parentId !== undefined) query = query.where("parent_id", "=", parentId);
    if (after) {
      query = query.where((where) =>
        where.or([
          where(order, ">", after.order),
          where.and([where(order, "=", after.order), where("title_details.title_id", ">", after.titleId)]),
        ]),
      );
    }
    return (await query.orderBy(order).orderBy("title_details.title_id").limit(limit).execute()).map(detailsOf);
  }

  /** What has changed after a revision, oldest first; then after the title of the same revision where the last page ended. */
  async listChanged(limit: number, after: { revision: number; titleId: string }): Promise<StoredDetails[]> {
    const rows = await select(this.#store)
      .where((where) =>
        where.or([
          where("title_details.revision", ">", after.revision),
          where.and([where("title_details.revision", "=", after.revision), where("title_details.title_id", ">", after.titleId)]),
        ]),
      )
      .orderBy("title_details.revision")
      .orderBy("title_details.title_id")
      .limit(limit)
      .execute();
    return rows.map(detailsOf);
  }

  /** Grows with every change of any title's details. */
  async readRevision(): Promise<number> {
    const row = await this.#store.selectFrom("details_revision").select("revision").where("id", "=", revisionRowId).executeTakeFirst();
    return row?.revision ?? 0;
  }
}

/** A title that has just got objects. @throws OperatingError "title-kind-fixed" when it is a series or a season. */
export async function notePublished(
  transaction: Transaction<Schema>,
  { titleId, name, media }: { titleId: string; name: string; media: string },
): Promise<{ name: string }> {
  // First: whoever holds this row writes details, and revisions are committed in their order.
  const revision = await nextRevision(transaction);
  const [before] = await rowsOf(transaction, [titleId]);
  if (before && before.kind !== kindNumberOf("film") && before.kind !== kindNumberOf("episode")) {
    throw new OperatingError(
      "title-kind-fixed",
      `Cannot publish title ${titleId}: it is a ${titleKinds[before.kind - 1]}, which has no objects`,
      {
        source: titleId,
      },
    );
  }
  const row = {
    title_id: titleId,
    kind: before?.kind ?? kindNumberOf("film"),
    parent_id: before?.parent_id ?? "",
    number: before?.number ?? 0,
    // A person's name for it is better than a file's.
    name: before?.edited === 1 ? before.name : name,
    revision,
    edited: before?.edited ?? 0,
    body: before?.body ?? "{}",
    media,
  };
  await upsert(transaction, "title_details", { row, key: ["title_id"] });
  return { name: row.name };
}

async function refuseOtherKind(transaction: Transaction<Schema>, { titleId, kind }: EditorialDetails, published: boolean): Promise<void> {
  const refuse = (why: string) =>
    new OperatingError("title-kind-fixed", `Cannot make title ${titleId} a ${kind}: ${why}`, { source: titleId });
  if (published && (kind === "series" || kind === "season")) throw refuse("it has objects");
  const part = await transaction
    .selectFrom("title_details")
    .select("title_id")
    .where("parent_id", "=", titleId)
    .limit(1)
    .executeTakeFirst();
  if (part) throw refuse(`${part.title_id} is part of it`);
}

/** Counts one change. The row stays locked until the transaction ends. */
async function nextRevision(transaction: Transaction<Schema>): Promise<number> {
  await transaction
    .updateTable("details_revision")
    .set((set) => ({ revision: set("revision", "+", 1) }))
    .where("id", "=", revisionRowId)
    .execute();
  const row = await transaction.selectFrom("details_revision").select("revision").where("id", "=", revisionRowId).executeTakeFirstOrThrow();
  return row.revision;
}

function select(database: Store | Transaction<Schema>) {
  return database
    .selectFrom("title_details")
    .leftJoin("title", "title.title_id", "title_details.title_id")
    .selectAll("title_details")
    .select((column) => column.case().when("title.title_id", "is", null).then(0).else(1).end().as("published"));
}

async function rowsOf(database: Store | Transaction<Schema>, titleIds: readonly string[]) {
  return await select(database).where("title_details.title_id", "in", titleIds).execute();
}
