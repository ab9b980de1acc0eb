const CHUNK_BITS = 14;
const CHUNK_ROWS = 1 << CHUNK_BITS;
const CHUNK_MASK = CHUNK_ROWS - 1;
/** A small search must not pay for a large one: the table and the first chunk begin small and grow fourfold. */
const FIRST_TABLE = 1 << 10;
const FIRST_ROWS = 1 << 8;
/** Up to this size a table grows fourfold: fewer states are moved, and the memory does not matter yet. */
const QUICK_GROWTH = 1 << 21;
/** Part of the table that may be taken. Neighbours share a cache line and other rows are told by their hash, so it may be high. */
const FULL = 0.7;

/** Mixes one word into a hash. */
export function mix(hash: number, word: number): number {
  const h = Math.imul(hash ^ word, 0x85ebca6b);
  return h ^ (h >>> 13);
}

/** Spreads a mixed hash over all bits. */
export function finish(hash: number): number {
  const h = Math.imul(hash, 0xc2b2ae35);
  return h ^ (h >>> 16);
}

/** What hashes start from. */
export const SEED = 0x9e3779b9 | 0;

/**
 * A set of rows of equal length, numbered from 0 in the order they were added, found by open addressing with exact comparison.
 * Rows are kept in chunks, so growing copies nothing but the table. A table entry is the row's number plus 1 in as many low bits
 * as the table has address bits, and in the bits above them the row's hash, so that most other rows are never looked at.
 */
export class RowSet {
  /** Words of a row. */
  readonly words: number;
  #chunks: Int32Array[] = [];
  #table = new Int32Array(FIRST_TABLE);
  #mask = FIRST_TABLE - 1;
  #count = 0;

  constructor(words: number) {
    this.words = words;
  }

  get count(): number {
    return this.#count;
  }

  /** Bytes allocated, table included. */
  get bytes(): number {
    return this.#chunks.reduce((bytes, chunk) => bytes + chunk.byteLength, this.#table.byteLength);
  }

  /** Copies row `id` to the front of `row`. */
  read(id: number, row: Int32Array): void {
    const { words } = this;
    const chunk = this.#chunks[id >> CHUNK_BITS]!;
    const base = (id & CHUNK_MASK) * words;
    for (let i = 0; i < words; i++) row[i] = chunk[base + i]!;
  }

  /** The number of the row equal to the front of `row`, which is added when it is new. */
  add(row: Int32Array): number {
    const { words } = this;
    const chunks = this.#chunks;
    const table = this.#table;
    const mask = this.#mask;
    let h = SEED;
    for (let i = 0; i < words; i++) {
      h = Math.imul(h ^ row[i]!, 0x85ebca6b);
      h ^= h >>> 13;
    }
    h = Math.imul(h, 0xc2b2ae35);
    h ^= h >>> 16;
    let at = h & mask;
    for (;;) {
      const entry = table[at]!;
      if (entry === 0) return this.#append(row, at, h);
      if (((entry ^ h) & ~mask) === 0) {
        const id = (entry & mask) - 1;
        const chunk = chunks[id >> CHUNK_BITS]!;
        const base = (id & CHUNK_MASK) * words;
        let i = 0;
        while (i < words && chunk[base + i] === row[i]) i++;
        if (i === words) return id;
      }
      at = (at + 1) & mask;
    }
  }

  #append(row: Int32Array, at: number, hash: number): number {
    const { words } = this;
    const id = this.#count++;
    let chunk = this.#chunks[id >> CHUNK_BITS];
    const base = (id & CHUNK_MASK) * words;
    if (chunk === undefined || base === chunk.length) chunk = this.#enlarge(id);
    for (let i = 0; i < words; i++) chunk[base + i] = row[i]!;
    this.#table[at] = (hash & ~this.#mask) | (id + 1);
    if (this.#count > this.#mask * FULL) this.#rehash();
    return id;
  }

  /** Makes room for row `id`: a larger first chunk, or another one. */
  #enlarge(id: number): Int32Array {
    const old = this.#chunks[id >> CHUNK_BITS];
    const rows = id === 0 ? FIRST_ROWS : old === undefined ? CHUNK_ROWS : Math.min(4 * id, CHUNK_ROWS);
    const chunk = new Int32Array(rows * this.words);
    if (old !== undefined) chunk.set(old);
    this.#chunks[id >> CHUNK_BITS] = chunk;
    return chunk;
  }

  /** Enlarges the table. Going through it in order, with the hashes at hand, keeps writes near each other. */
  #rehash(): void {
    const { words } = this;
    const old = this.#table;
    const oldMask = this.#mask;
    const table = new Int32Array(old.length * (old.length < QUICK_GROWTH ? 4 : 2));
    const mask = table.length - 1;
    const hashes = new Int32Array(this.#count);
    let id = 0;
    for (const chunk of this.#chunks) {
      const end = Math.min(this.#count - id, CHUNK_ROWS) * words;
      for (let base = 0; base < end; base += words) {
        let h = SEED;
        for (let i = 0; i < words; i++) {
          h = Math.imul(h ^ chunk[base + i]!, 0x85ebca6b);
          h ^= h >>> 13;
        }
        h = Math.imul(h, 0xc2b2ae35);
        hashes[id++] = h ^ (h >>> 16);
      }
    }
    for (let slot = 0; slot < old.length; slot++) {
      const entry = old[slot]!;
      if (entry === 0) continue;
      const hash = hashes[(entry & oldMask) - 1]!;
      let at = hash & mask;
      while (table[at] !== 0) at = (at + 1) & mask;
      table[at] = (hash & ~mask) | (entry & oldMask);
    }
    this.#table = table;
    this.#mask = mask;
  }
}
