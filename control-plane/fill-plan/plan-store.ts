// The fill plan in the database: which titles each appliance of each cluster should hold, and what editors say of titles.
import type { Store } from "../store/database.js";
import { transact } from "../store/transact.js";
import type { PlacedTitle } from "./place-titles.js";

/** MySQL's TEXT takes 65,535 bytes. */
const partCharactersMax = 50_000;

/** What the plan keeps of one appliance. */
export interface PlannedMember {
  id: string;
  /** Bytes that may still be replaced; refilled as time goes by. Below 0 after a title that was larger than what was left. */
  allowanceBytes: number;
  /** What the last plan that changed anything added. */
  addedBytes: number;
}

export interface ClusterPlan {
  clusterId: string;
  members: PlannedMember[];
  /** Most wanted first. */
  titles: PlacedTitle[];
}

export interface StoredPlan {
  /** 0 = there is none yet. */
  generation: number;
  plannedAtUnixMs: number;
  clusters: Map<string, ClusterPlan>;
}

export interface Editorial {
  pinnedCopies: number;
  expectedPlaysPerDay: number;
}

type MembersBody = { members: PlannedMember[] };
/** Title, stratum, copies, and members by their place in the list of members. */
type TitleRow = [string, number, number, number[]];

export class PlanStore {
  readonly #store: Store;

  constructor(store: Store) {
    this.#store = store;
  }

  async readGeneration(): Promise<{ generation: number; plannedAtUnixMs: number }> {
    const row = await this.#store.selectFrom("fill_plan").selectAll().where("id", "=", 1).executeTakeFirst();
    return { generation: row?.generation ?? 0, plannedAtUnixMs: row?.planned_at_unix_ms ?? 0 };
  }

  async read(): Promise<StoredPlan> {
    return await transact(this.#store, async (transaction) => {
      const row = await transaction.selectFrom("fill_plan").selectAll().where("id", "=", 1).executeTakeFirst();
      const parts = await transaction.selectFrom("fill_plan_part").selectAll().orderBy("cluster_id").orderBy("part").execute();
      const clusters = new Map<string, ClusterPlan>();
      for (const { cluster_id, part, body } of parts) {
        if (part === 0) {
          const { members } = JSON.parse(body) as MembersBody;
          clusters.set(cluster_id, { clusterId: cluster_id, members, titles: [] });
          continue;
        }
        const cluster = clusters.get(cluster_id);
        if (!cluster) continue;
        for (const [titleId, stratum, copies, places] of JSON.parse(body) as TitleRow[]) {
          cluster.titles.push({ titleId, stratum, copies, memberIds: places.map((place) => cluster.members[place]!.id) });
        }
      }
      return { generation: row?.generation ?? 0, plannedAtUnixMs: row?.planned_at_unix_ms ?? 0, clusters };
    });
  }

  /** Puts `clusters` in force in the place of generation `known`. False when another copy of the control plane was faster. */
  async replace(known: number, clusters: Iterable<ClusterPlan>, plannedAtUnixMs: number): Promise<boolean> {
    return await transact(this.#store, async (transaction) => {
      const row = { id: 1, generation: known + 1, planned_at_unix_ms: plannedAtUnixMs };
      if (known === 0) {
        const there = await transaction.selectFrom("fill_plan").select("id").where("id", "=", 1).executeTakeFirst();
        if (there) return false;
        await transaction.insertInto("fill_plan").values(row).execute();
      } else {
        const { numUpdatedRows } = await transaction
          .updateTable("fill_plan")
          .set(row)
          .where("id", "=", 1)
          .where("generation", "=", known)
          .executeTakeFirst();
        if (numUpdatedRows === 0n) return false;
      }
      await transaction.deleteFrom("fill_plan_part").execute();
      for (const cluster of clusters) {
        for (const [part, body] of bodiesOf(cluster).entries()) {
          await transaction.insertInto("fill_plan_part").values({ cluster_id: cluster.clusterId, part, body }).execute();
        }
      }
      return true;
    });
  }

  async listEditorial(): Promise<Map<string, Editorial>> {
    const rows = await this.#store.selectFrom("title_editorial").selectAll().execute();
    return new Map(rows.map((row) => [row.title_id, { pinnedCopies: row.pinned_copies, expectedPlaysPerDay: row.expected_plays_per_day }]));
  }

  async setEditorial(titleId: string, { pinnedCopies, expectedPlaysPerDay }: Editorial): Promise<void> {
    if (pinnedCopies === 0 && expectedPlaysPerDay === 0) {
      await this.#store.deleteFrom("title_editorial").where("title_id", "=", titleId).execute();
      return;
    }
    const row = { title_id: titleId, pinned_copies: pinnedCopies, expected_plays_per_day: expectedPlaysPerDay };
    await this.#store.replaceInto("title_editorial").values(row).execute();
  }
}

function bodiesOf({ members, titles }: ClusterPlan): string[] {
  const placeOf = new Map(members.map(({ id }, place) => [id, place]));
  const bodies = [JSON.stringify({ members } satisfies MembersBody)];
  let rows: string[] = [];
  let characters = 0;
  for (const { titleId, stratum, copies, memberIds } of titles) {
    const row = JSON.stringify([titleId, stratum, copies, memberIds.map((id) => placeOf.get(id)!)] satisfies TitleRow);
    if (characters + row.length > partCharactersMax) {
      bodies.push(`[${rows.join(",")}]`);
      rows = [];
      characters = 0;
    }
    rows.push(row);
    characters += row.length + 1;
  }
  if (rows.length > 0) bodies.push(`[${rows.join(",")}]`);
  return bodies;
}
