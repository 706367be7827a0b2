// Longest-prefix match over a million prefixes: a path-compressed binary trie in typed arrays (Morrison, "PATRICIA", 1968).
//
//   node n:  child[2n], child[2n+1]  the nodes below, by the bit after this node's prefix; 0 = none (node 0 is the root)
//            key[n*words…]           the prefix, bits after its length 0
//            length[n]               bits
//            value[n]                what the prefix stands for; -1 = only a fork on the way
//
// Insert and withdraw touch one path. A node that is neither a prefix nor a fork is taken out and its number used again.

const noValue = -1;
/** Prefixes of all lengths that can cover one address, and so what `match` may write. */
export const matchesMax = 129;

export class PrefixTrie {
  /** Words of 32 bits in an address: 1 or 4. */
  readonly #words: 1 | 4;
  #child = new Int32Array(2 * 1024);
  #key: Uint32Array;
  #length = new Uint8Array(1024);
  #value = new Int32Array(1024).fill(noValue);
  #nodes = 1;
  #free: number[] = [];
  #size = 0;

  constructor(family: 4 | 6) {
    this.#words = family === 4 ? 1 : 4;
    this.#key = new Uint32Array(1024 * this.#words);
  }

  /** Prefixes in it. */
  get size(): number {
    return this.#size;
  }

  /** One more than the highest node number that `match` can give: for tables beside the trie. */
  get nodeCount(): number {
    return this.#nodes;
  }

  get bytes(): number {
    return this.#child.byteLength + this.#key.byteLength + this.#length.byteLength + this.#value.byteLength;
  }

  valueOf(node: number): number {
    return this.#value[node]!;
  }

  lengthOf(node: number): number {
    return this.#length[node]!;
  }

  /** The prefix of `node` as a copy. */
  keyOf(node: number): Uint32Array {
    return this.#key.slice(node * this.#words, (node + 1) * this.#words);
  }

  /** Writes the nodes of all prefixes that cover `address` into `nodes`, shortest first, and tells how many. */
  match(address: Uint32Array, nodes: Int32Array): number {
    return this.#words === 1 ? this.#matchOne(address[0]!, nodes) : this.#matchFour(address, nodes);
  }

  #matchOne(address: number, nodes: Int32Array): number {
    const child = this.#child;
    const key = this.#key;
    const length = this.#length;
    const value = this.#value;
    let count = value[0] === noValue ? 0 : 1;
    nodes[0] = 0;
    let bits = 0;
    let node = 0;
    for (;;) {
      node = child[2 * node + ((address >>> (31 - bits)) & 1)]!;
      if (node === 0) return count;
      bits = length[node]!;
      // A child has at least one bit, so the shift is at most 31.
      if ((address ^ key[node]!) >>> (32 - bits) !== 0) return count;
      if (value[node] !== noValue) nodes[count++] = node;
      if (bits === 32) return count;
    }
  }

  #matchFour(address: Uint32Array, nodes: Int32Array): number {
    const child = this.#child;
    const key = this.#key;
    const length = this.#length;
    const value = this.#value;
    let count = value[0] === noValue ? 0 : 1;
    nodes[0] = 0;
    let bits = 0;
    let node = 0;
    for (;;) {
      const word = bits >>> 5;
      node = child[2 * node + ((address[word]! >>> (31 - (bits & 31))) & 1)]!;
      if (node === 0) return count;
      bits = length[node]!;
      // Words before `word` are known to be equal.
      for (let at = word; at * 32 < bits; at++) {
        const rest = bits - at * 32;
        const difference = (address[at]! ^ key[node * 4 + at]!) >>> 0;
        if ((rest >= 32 ? difference : difference >>> (32 - rest)) !== 0) return count;
      }
      if (value[node] !== noValue) nodes[count++] = node;
      if (bits === 128) return count;
    }
  }

  /** The node of exactly this prefix; -1 when it is not here. */
  find(prefix: Uint32Array, lengthBits: number): number {
    let node = 0;
    while (this.#length[node]! < lengthBits) {
      node = this.#child[2 * node + bitOf(prefix, this.#length[node]!)]!;
      if (node === 0) return -1;
    }
    const found =
      this.#length[node] === lengthBits && this.#value[node] !== noValue && this.#sharedBits(node, prefix, lengthBits) === lengthBits;
    return found ? node : -1;
  }

  /** Puts `value` (0 or more) at the prefix, whose bits after `lengthBits` must be 0. */
  set(prefix: Uint32Array, lengthBits: number, value: number): void {
    let parent = 0;
    let node = 0;
    for (;;) {
      if (this.#length[node] === lengthBits) return this.#setValue(node, value);
      const side = bitOf(prefix, this.#length[node]!);
      parent = node;
      node = this.#child[2 * parent + side]!;
      if (node === 0) {
        this.#child[2 * parent + side] = this.#makeNode(prefix, lengthBits, value);
        return;
      }
      const shared = this.#sharedBits(node, prefix, Math.min(this.#length[node]!, lengthBits));
      if (shared === this.#length[node]) continue;
      // The prefix leaves the way to `node`: above it (it is a prefix of node's), or at a fork.
      const above = this.#makeNode(prefix, shared, shared === lengthBits ? value : noValue);
      this.#child[2 * above + bitOf(this.#key, shared, node * this.#words)] = node;
      if (shared !== lengthBits) {
        const leaf = this.#makeNode(prefix, lengthBits, value);
        this.#child[2 * above + bitOf(prefix, shared)] = leaf;
      }
      this.#child[2 * parent + side] = above;
      return;
    }
  }

  /** Takes the prefix out; false when it was not in. */
  delete(prefix: Uint32Array, lengthBits: number): boolean {
    let grandparent = 0;
    let parent = 0;
    let node = 0;
    while (this.#length[node]! < lengthBits) {
      grandparent = parent;
      parent = node;
      node = this.#child[2 * node + bitOf(prefix, this.#length[node]!)]!;
      if (node === 0) return false;
    }
    if (this.#length[node] !== lengthBits || this.#value[node] === noValue) return false;
    if (this.#sharedBits(node, prefix, lengthBits) !== lengthBits) return false;
    this.#value[node] = noValue;
    this.#size--;
    if (node === 0) return true;
    this.#cutOut(node, parent);
    // The parent may now be a fork with one way.
    if (parent !== 0 && this.#value[parent] === noValue) this.#cutOut(parent, grandparent);
    return true;
  }

  /** Every prefix, in no order. The trie must not change meanwhile, except by `setValueOf`. */
  *nodes(): Generator<number> {
    const stack = [0];
    for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
      if (this.#value[node] !== noValue) yield node;
      for (const below of [this.#child[2 * node]!, this.#child[2 * node + 1]!]) if (below !== 0) stack.push(below);
    }
  }

  #setValue(node: number, value: number): void {
    if (this.#value[node] === noValue) this.#size++;
    this.#value[node] = value;
  }

  /** Takes `node`, which has no value, out of the way from `parent` to what is below it; stays when it is a fork. */
  #cutOut(node: number, parent: number): void {
    const [left, right] = [this.#child[2 * node]!, this.#child[2 * node + 1]!];
    if (left !== 0 && right !== 0) return;
    this.#child[2 * parent + (this.#child[2 * parent] === node ? 0 : 1)] = left || right;
    this.#free.push(node);
  }

  /** How many of the first `maxBits` bits of `prefix` node's prefix shares. */
  #sharedBits(node: number, prefix: Uint32Array, maxBits: number): number {
    for (let at = 0; at < this.#words; at++) {
      const difference = (prefix[at]! ^ this.#key[node * this.#words + at]!) >>> 0;
      if (difference !== 0) return Math.min(maxBits, at * 32 + Math.clz32(difference));
    }
    return maxBits;
  }

  #makeNode(prefix: Uint32Array, lengthBits: number, value: number): number {
    const node = this.#free.pop() ?? this.#nodes++;
    if (node * 2 >= this.#child.length) this.#grow();
    for (let at = 0; at < this.#words; at++) {
      const bits = Math.min(32, Math.max(0, lengthBits - at * 32));
      this.#key[node * this.#words + at] = bits === 0 ? 0 : (prefix[at]! & (-1 << (32 - bits))) >>> 0;
    }
    this.#child[2 * node] = 0;
    this.#child[2 * node + 1] = 0;
    this.#length[node] = lengthBits;
    this.#value[node] = noValue;
    if (value !== noValue) this.#setValue(node, value);
    return node;
  }

  #grow(): void {
    const capacity = this.#length.length * 2;
    const grown = <Numbers extends Int32Array | Uint32Array | Uint8Array>(to: Numbers, from: Numbers): Numbers => {
      to.set(from);
      return to;
    };
    this.#child = grown(new Int32Array(2 * capacity), this.#child);
    this.#key = grown(new Uint32Array(capacity * this.#words), this.#key);
    this.#length = grown(new Uint8Array(capacity), this.#length);
    this.#value = grown(new Int32Array(capacity).fill(noValue), this.#value);
  }
}

function bitOf(words: Uint32Array, bit: number, offset = 0): 0 | 1 {
  return ((words[offset + (bit >>> 5)]! >>> (31 - (bit & 31))) & 1) as 0 | 1;
}
