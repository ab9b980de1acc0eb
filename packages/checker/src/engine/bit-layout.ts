/**
 * Where fields of known widths lie in the words of a packed row. A slot is `word * 32 + shift`, so that a field is read by
 * `row[slot >> 5] >>> slot & mask`: shifts take their count modulo 32.
 */
export class BitLayout {
  /** Words of a row. */
  readonly words: number;
  /** One slot a field, in the order of the widths. */
  readonly slots: Int32Array;

  /** Lays fields of `widths` bits (1 to 32) out, wide ones first, each inside one word. */
  constructor(widths: readonly number[]) {
    const free: number[] = [];
    this.slots = new Int32Array(widths.length);
    const order = widths.map((bits, field) => ({ bits, field }));
    order.sort((a, b) => b.bits - a.bits || a.field - b.field);
    for (const { bits, field } of order) {
      let word = free.findIndex((left) => left >= bits);
      if (word < 0) word = free.push(32) - 1;
      this.slots[field] = word * 32 + 32 - free[word]!;
      free[word]! -= bits;
    }
    this.words = Math.max(1, free.length);
  }
}

/** The mask of a field of `bits` bits. */
export function maskOf(bits: number): number {
  return bits === 32 ? -1 : 2 ** bits - 1;
}
