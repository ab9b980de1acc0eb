import type { Segment } from "@mmu-notifier/steps";
import { finish, mix, SEED } from "./row-set.js";

const FIRST_WORDS = 1 << 10;
const FIRST_ENTRIES = 1 << 6;

/** The different contents that one segment has had, numbered from 0: words of any length, found by open addressing. */
export class ComponentTable {
  #words = new Int32Array(FIRST_WORDS);
  /** Where component `i` begins; it ends where the next begins. */
  #starts: number[] = [0];
  #table = new Int32Array(FIRST_ENTRIES);

  get count(): number {
    return this.#starts.length - 1;
  }

  get bytes(): number {
    return this.#words.byteLength + this.#table.byteLength + this.#starts.length * 8;
  }

  equals(id: number, words: Int32Array, length: number): boolean {
    const start = this.#starts[id]!;
    if (this.#starts[id + 1]! - start !== length) return false;
    const stored = this.#words;
    for (let i = 0; i < length; i++) if (stored[start + i] !== words[i]) return false;
    return true;
  }

  /** The number of the component with these words, which is added when it is new. */
  intern(words: Int32Array, length: number): number {
    let hash = SEED;
    for (let i = 0; i < length; i++) hash = mix(hash, words[i]!);
    const mask = this.#table.length - 1;
    let at = finish(hash) & mask;
    for (;;) {
      const entry = this.#table[at]!;
      if (entry === 0) break;
      if (this.equals(entry - 1, words, length)) return entry - 1;
      at = (at + 1) & mask;
    }
    const start = this.#starts.at(-1)!;
    if (start + length > this.#words.length) this.#grow(start + length);
    for (let i = 0; i < length; i++) this.#words[start + i] = words[i]!;
    const id = this.count;
    this.#starts.push(start + length);
    this.#table[at] = id + 1;
    if (this.count * 2 > mask) this.#rehash(this.#table.length * 2);
    return id;
  }

  /** Writes component `id` into its segment; words that the segment no longer uses become 0. */
  copyTo(id: number, segment: Segment): void {
    const start = this.#starts[id]!;
    const end = this.#starts[id + 1]!;
    const before = segment.words;
    segment.reserve(end - start);
    segment.i32.set(this.#words.subarray(start, end));
    if (before > end - start) segment.i32.fill(0, end - start, before);
  }

  /** Gives every row of every component `to` words instead of `from`; the new ones are 0. Numbers stay. */
  restride(from: number, to: number): void {
    const old = this.#words;
    const starts = this.#starts;
    this.#starts = starts.map((start) => (start / from) * to);
    this.#words = new Int32Array(Math.max(FIRST_WORDS, this.#starts.at(-1)! * 2));
    for (let row = 0; row * from < starts.at(-1)!; row++)
      this.#words.set(old.subarray(row * from, (row + 1) * from), row * to);
    this.#rehash(this.#table.length);
  }

  #grow(words: number): void {
    const bigger = new Int32Array(Math.max(words, this.#words.length * 2));
    bigger.set(this.#words);
    this.#words = bigger;
  }

  #rehash(size: number): void {
    const table = new Int32Array(size);
    for (let id = 0; id < this.count; id++) {
      let hash = SEED;
      for (let i = this.#starts[id]!; i < this.#starts[id + 1]!; i++) hash = mix(hash, this.#words[i]!);
      let at = finish(hash) & (size - 1);
      while (table[at] !== 0) at = (at + 1) & (size - 1);
      table[at] = id + 1;
    }
    this.#table = table;
  }
}
