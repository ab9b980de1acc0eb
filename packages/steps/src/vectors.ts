import { MemoryError } from "./errors.js";
import type { Memory, Segment } from "./memory.js";

const FIRST = 2;
const LENGTH = 1;

/**
 * Growable lists of int32 values that live in a {@link Memory}: the sorted VMAs of an mm, the page cache of a file, the
 * subscriptions of a bus. Every list has the same capacity; when one outgrows it all are moved to rows twice as wide.
 *
 * @public
 */
export class Vectors {
  readonly #memory: Memory;
  readonly #name: string;
  #segment: Segment;

  constructor(memory: Memory, name: string, capacity = 6) {
    this.#memory = memory;
    this.#name = name;
    this.#segment = memory.segment(name, FIRST + capacity + (capacity % 2));
  }

  /** Makes an empty list and returns its number (never 0). */
  create(): number {
    return this.#segment.alloc();
  }

  destroy(list: number): void {
    this.#segment.free(list);
  }

  length(list: number): number {
    return this.#segment.i32[list * this.#segment.stride + LENGTH]!;
  }

  /** The value at `index`, or 0 beyond the end. */
  at(list: number, index: number): number {
    const at = list * this.#segment.stride;
    return index < this.#segment.i32[at + LENGTH]! ? this.#segment.i32[at + FIRST + index]! : 0;
  }

  /** Sets the value at `index`; the gap up to it is filled with 0. */
  set(list: number, index: number, value: number): void {
    this.#need(index + 1);
    const { i32, stride } = this.#segment;
    const at = list * stride;
    if (i32[at + LENGTH]! <= index) i32[at + LENGTH] = index + 1;
    i32[at + FIRST + index] = value;
  }

  insert(list: number, index: number, value: number): void {
    const length = this.length(list);
    this.#check(list, index, length + 1);
    this.#need(length + 1);
    const { i32, stride } = this.#segment;
    const at = list * stride + FIRST;
    i32.copyWithin(at + index + 1, at + index, at + length);
    i32[at + index] = value;
    i32[at - FIRST + LENGTH] = length + 1;
  }

  removeAt(list: number, index: number): void {
    const length = this.length(list);
    this.#check(list, index, length);
    const { i32, stride } = this.#segment;
    const at = list * stride + FIRST;
    i32.copyWithin(at + index, at + index + 1, at + length);
    i32[at + length - 1] = 0;
    i32[at - FIRST + LENGTH] = length - 1;
  }

  /** Removes the first entry equal to `value`; false when there is none. */
  remove(list: number, value: number): boolean {
    const index = this.indexOf(list, value);
    if (index < 0) return false;
    this.removeAt(list, index);
    return true;
  }

  indexOf(list: number, value: number): number {
    const { i32, stride } = this.#segment;
    const at = list * stride;
    const length = i32[at + LENGTH]!;
    for (let i = 0; i < length; i++) if (i32[at + FIRST + i] === value) return i;
    return -1;
  }

  /** Shortens the list to `length` entries. */
  truncate(list: number, length: number): void {
    const { i32, stride } = this.#segment;
    const at = list * stride;
    const before = i32[at + LENGTH]!;
    if (length >= before) return;
    i32.fill(0, at + FIRST + length, at + FIRST + before);
    i32[at + LENGTH] = length;
  }

  #check(list: number, index: number, bound: number): void {
    if (index < 0 || index >= bound) {
      throw new MemoryError("MEMORY_INDEX", `list ${list} of ${this.#name}: index ${index} is not below ${bound}`, {
        list,
        index,
        bound,
      });
    }
  }

  #need(length: number): void {
    if (length <= this.#segment.stride - FIRST) return;
    let capacity = this.#segment.stride - FIRST;
    while (capacity < length) capacity = capacity * 2 + 2;
    const narrow = this.#segment;
    const wide = this.#memory.segment(this.#name, FIRST + capacity, narrow.used);
    this.#memory.segments.pop();
    this.#memory.segments[this.#memory.segments.indexOf(narrow)] = wide;
    for (let row = 1; row < narrow.used; row++) {
      wide.alloc();
      wide.i32.set(narrow.i32.subarray(row * narrow.stride, (row + 1) * narrow.stride), row * wide.stride);
    }
    for (let row = narrow.used - 1; row >= 1; row--) if (!narrow.isLive(row)) this.#drop(wide, row);
    this.#segment = wide;
  }

  #drop(wide: Segment, row: number): void {
    wide.i32[row * wide.stride] = 1;
    wide.free(row);
  }
}
