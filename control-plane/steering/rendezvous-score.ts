// Rendezvous hashing on numbers instead of names, for the decision that is made for every player: 32 bits of each are mixed.
// Thaler and Ravishankar, "A Name-Based Mapping Scheme for Rendezvous", 1996; weights as in Schindelhauer and Schomaker, 2005.

/**
 * How much the member with `memberHash` wants the key with `keyHash`, above 0: the highest wins. Over many keys a member wins in proportion to
 * its weight.
 *
 * @param weight above 0; 1 for all when they are equal, which saves the logarithm.
 */
export function scoreOf(memberHash: number, keyHash: number, weight: number): number {
  // The finalizer of MurmurHash3: each bit of the input changes half of the bits of the output.
  let hash = memberHash ^ Math.imul(keyHash, 0x9e3779b1);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  // Above 0 and below 1.
  const uniform = (((hash ^ (hash >>> 16)) >>> 0) + 0.5) / 2 ** 32;
  return weight === 1 ? uniform : -weight / Math.log(uniform);
}
