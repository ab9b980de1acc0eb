import { BitLayout, maskOf } from "./bit-layout.js";
import { RowSet } from "./row-set.js";

const WIDE = 1 << 8;

/**
 * States as rows of bit fields. The row in work is packed already: a field is read and written in place, so keeping or
 * restoring a state copies a few words. A field that outgrows its bits gets more, and all rows are packed again.
 */
export class PackedRows {
  /** Bits of each field. */
  readonly widths: number[];
  slots: Int32Array;
  masks: Int32Array;
  /** The state in work. */
  row: Int32Array;
  #loaded = 0;
  #rows: RowSet;
  readonly #moved: () => void;

  /** `moved` is called after every change of {@link slots} or {@link masks}. */
  constructor(widths: readonly number[], moved: () => void = () => {}) {
    this.widths = [...widths];
    this.slots = new Int32Array(widths.length);
    this.masks = new Int32Array(widths.length);
    this.row = new Int32Array(widths.length + 1);
    this.#moved = moved;
    this.#rows = this.#lay();
  }

  get count(): number {
    return this.#rows.count;
  }

  get bytes(): number {
    return this.#rows.bytes;
  }

  get(field: number): number {
    const slot = this.slots[field]!;
    return (this.row[slot >> 5]! >>> slot) & this.masks[field]!;
  }

  /** Writes a field, which gets more bits when `value` needs them. */
  set(field: number, value: number): void {
    const mask = this.masks[field]!;
    if ((value & ~mask) !== 0) {
      this.#widen(field, value);
      return;
    }
    const slot = this.slots[field]!;
    const word = slot >> 5;
    this.row[word] = (this.row[word]! & ~(mask << slot)) | (value << slot);
  }

  /** Takes state `id` into work. */
  load(id: number): void {
    this.#loaded = id;
    this.#rows.read(id, this.row);
  }

  /** Takes the state loaded last into work again. */
  reload(): void {
    this.#rows.read(this.#loaded, this.row);
  }

  /** The number of the state in work, which is stored when it is new. */
  commit(): number {
    return this.#rows.add(this.row);
  }

  #lay(): RowSet {
    const layout = new BitLayout(this.widths);
    this.slots.set(layout.slots);
    this.widths.forEach((bits, field) => {
      this.masks[field] = maskOf(bits);
    });
    this.#moved();
    return new RowSet(layout.words);
  }

  /** Makes `fields` fields of them; the new ones have `bits` bits and are 0 in every row. */
  extend(fields: number, bits: number): void {
    this.#relay(() => {
      while (this.widths.length < fields) this.widths.push(bits);
      this.slots = new Int32Array(fields);
      this.masks = new Int32Array(fields);
      this.row = new Int32Array(fields + 1);
    });
  }

  /** A field that has come far is given a bit more than it needs: packing again takes longer with every state. */
  #widen(field: number, value: number): void {
    this.#relay(() => {
      this.widths[field] = 32 - Math.clz32(value) + (value >= WIDE ? 1 : 0);
    });
    this.set(field, value);
  }

  /** Changes the fields and packs everything again. */
  #relay(change: () => void): void {
    const fields = this.widths.length;
    const before = {
      slots: this.slots.slice(),
      masks: this.masks.slice(),
      row: this.row.slice(),
    };
    const stored = this.#rows;
    change();
    this.#rows = this.#lay();
    const repack = (from: Int32Array): void => {
      this.row.fill(0);
      for (let f = 0; f < fields; f++) {
        const slot = before.slots[f]!;
        this.set(f, (from[slot >> 5]! >>> slot) & before.masks[f]!);
      }
    };
    const row = new Int32Array(stored.words);
    for (let id = 0; id < stored.count; id++) {
      stored.read(id, row);
      repack(row);
      this.#rows.add(this.row);
    }
    repack(before.row);
  }
}
