// JSON of values with amounts: members whose names end in "Minor" are bigint here and text there.

export function encodeAmounts(value: unknown): string {
  return JSON.stringify(value, (_key, member: unknown) => (typeof member === "bigint" ? String(member) : member));
}

/** What `encodeAmounts` made of a `Value`; members that were undefined are missing. */
export function decodeAmounts<Value>(text: string): Value {
  return JSON.parse(text, (key, member: unknown) =>
    key.endsWith("Minor") && typeof member === "string" ? BigInt(member) : member,
  ) as Value;
}
