// Gives whole numbers back as the queries expect them: money as bigint, all else as number.
import type { KyselyPlugin, PluginTransformQueryArgs, PluginTransformResultArgs, QueryResult, RootOperationNode, UnknownRow } from "kysely";

/** Money, in the smallest unit of its currency: the column, alias or sum is named "…_minor" or "…Minor". */
const isMoney = (column: string) => /(_minor|Minor)$/.test(column);

/**
 * Both drivers are told to give 64-bit integers as bigint; MariaDB's sums come as decimal text. This makes of them: bigint
 * in columns named for money, number in all others.
 *
 * @throws RangeError for a number that a double would round.
 */
export class ExactNumbers implements KyselyPlugin {
  transformQuery({ node }: PluginTransformQueryArgs): RootOperationNode {
    return node;
  }

  transformResult({ result }: PluginTransformResultArgs): Promise<QueryResult<UnknownRow>> {
    for (const row of result.rows) {
      for (const column in row) row[column] = exact(column, row[column]);
    }
    return Promise.resolve(result);
  }
}

function exact(column: string, value: unknown): unknown {
  if (isMoney(column)) {
    if (typeof value === "number") return BigInt(value);
    return typeof value === "string" && /^-?\d+$/.test(value) ? BigInt(value) : value;
  }
  if (typeof value !== "bigint") return value;
  const number = Number(value);
  if (!Number.isSafeInteger(number)) throw new RangeError(`Column ${column} has a number of 2^53 or more: ${value}`);
  return number;
}
