// Weighted rendezvous hashing: every key has its own order of the members, and a member that comes or goes moves only its share.
// Thaler and Ravishankar, "A Name-Based Mapping Scheme for Rendezvous", 1996; weights as in Schindelhauer and Schomaker, 2005.
import { xxh64 } from "@node-rs/xxhash";

/**
 * How much `memberId` wants `key`: the highest score wins. Over many keys a member wins in proportion to its weight.
 *
 * @param weight above 0.
 */
function rendezvousScore(memberId: string, key: string, weight: number): number {
  // The NUL keeps ("ab", "c") and ("a", "bc") apart.
  const hash = xxh64(`${memberId}\0${key}`);
  // 53 bits, shifted by a half so that the result is above 0 and below 1.
  const uniform = (Number(hash >> 11n) + 0.5) / 2 ** 53;
  return -weight / Math.log(uniform);
}

/** `members` in the order in which they want `key`, best first. Equal scores go by id. */
export function orderByRendezvous<Member extends { id: string; weight: number }>(members: readonly Member[], key: string): Member[] {
  return members
    .map((member) => ({ member, score: rendezvousScore(member.id, key, member.weight) }))
    .sort((a, b) => b.score - a.score || (a.member.id < b.member.id ? -1 : 1))
    .map(({ member }) => member);
}
