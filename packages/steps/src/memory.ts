import { MemoryError } from "./errors.js";

/** Words that a segment's header row holds before row 1. */
const USED = 0;
const LOWEST_FREE = 1;
const LIVE = 2;
const HEADER_WORDS = 4;
/** Words before a segment's rows in a saved state. */
const STRIDE_WORD = 1;
/** Up to so many words a loop is faster than what it takes to call set() or fill(). */
const FEW_WORDS = 256;

/**
 * One table of fixed-size rows in a {@link Memory}.
 *
 * Row 0 is the header, so a row number of 0 always means "none". Word 0 of a row is its mark: 0 is free, anything else
 * is allocated. The lowest free row is always handed out first, so that histories that reach the same situation leave the
 * same words behind. Read `i32` (and `f64` for even strides) afresh in every step: growing replaces them.
 *
 * @public
 */
export class Segment {
  readonly name: string;
  readonly stride: number;
  i32: Int32Array;
  /** The same bytes as doubles; row `r` starts at double `r * stride / 2` (even strides only). */
  f64: Float64Array;

  constructor(name: string, stride: number, rows: number) {
    if (stride < HEADER_WORDS || stride % 2 !== 0) {
      throw new MemoryError(
        "MEMORY_STRIDE",
        `segment ${name}: a row has an even number of words, at least ${HEADER_WORDS}, not ${stride}`,
      );
    }
    this.name = name;
    this.stride = stride;
    this.i32 = new Int32Array(stride * (Math.max(1, rows) + 1));
    this.f64 = new Float64Array(this.i32.buffer);
    this.i32[USED] = 1;
    this.i32[LOWEST_FREE] = 1;
  }

  /** Rows in use or once used, header included: rows 1 to `used - 1` may be live. */
  get used(): number {
    return this.i32[USED]!;
  }

  /** Rows allocated now. */
  get live(): number {
    return this.i32[LIVE]!;
  }

  /** Words that a snapshot of this segment holds. */
  get words(): number {
    return this.used * this.stride;
  }

  /** Allocates the lowest free row, zeroes it, marks it and returns its number. Never returns 0. */
  alloc(mark = 1): number {
    const { stride } = this;
    let row = this.i32[LOWEST_FREE]!;
    const used = this.i32[USED]!;
    while (row < used && this.i32[row * stride] !== 0) row++;
    if (row === used) {
      if ((row + 1) * stride > this.i32.length) this.#grow();
      this.i32[USED] = used + 1;
    }
    const at = row * stride;
    clearRow(this.i32, at, at + stride);
    this.i32[at] = mark;
    this.i32[LOWEST_FREE] = row + 1;
    this.i32[LIVE] = this.i32[LIVE]! + 1;
    return row;
  }

  /** Allocates exactly this row, which is free, zeroes it, marks it and returns its number. */
  allocAt(row: number, mark = 1): number {
    const { stride } = this;
    while ((row + 1) * stride > this.i32.length) this.#grow();
    const at = row * stride;
    clearRow(this.i32, at, at + stride);
    this.i32[at] = mark;
    if (row >= this.i32[USED]!) this.i32[USED] = row + 1;
    if (row === this.i32[LOWEST_FREE]!) this.i32[LOWEST_FREE] = row + 1;
    this.i32[LIVE] = this.i32[LIVE]! + 1;
    return row;
  }

  /**
   * Allocates `count` consecutive rows whose first number is a multiple of `align`, marks them all and returns the first.
   * Takes the lowest run that is free.
   */
  allocRun(count: number, align: number, mark = 1): number {
    const { stride } = this;
    let first = Math.ceil(this.i32[LOWEST_FREE]! / align) * align;
    for (let free = 0; free < count;) {
      const row = first + free;
      if (row >= this.i32[USED]! || this.i32[row * stride] === 0) free++;
      else {
        first += align;
        free = 0;
      }
    }
    const end = first + count;
    while (end * stride > this.i32.length) this.#grow();
    this.i32.fill(0, first * stride, end * stride);
    for (let row = first; row < end; row++) this.i32[row * stride] = mark;
    if (end > this.i32[USED]!) this.i32[USED] = end;
    if (first === this.i32[LOWEST_FREE]!) this.i32[LOWEST_FREE] = end;
    this.i32[LIVE] = this.i32[LIVE]! + count;
    return first;
  }

  /**
   * Frees a row and clears its words, so that equal situations have equal words.
   *
   * @throws MemoryError MEMORY_DOUBLE_FREE when the row is not allocated.
   */
  free(row: number): void {
    const at = row * this.stride;
    if (row < 1 || row >= this.used || this.i32[at] === 0) {
      throw new MemoryError("MEMORY_DOUBLE_FREE", `segment ${this.name}: row ${row} is freed but not allocated`, {
        segment: this.name,
        row,
      });
    }
    clearRow(this.i32, at, at + this.stride);
    if (row < this.i32[LOWEST_FREE]!) this.i32[LOWEST_FREE] = row;
    this.i32[LIVE] = this.i32[LIVE]! - 1;
    let used = this.i32[USED]!;
    if (row === used - 1) {
      while (used > 1 && this.i32[(used - 1) * this.stride] === 0) used--;
      this.i32[USED] = used;
      if (this.i32[LOWEST_FREE]! > used) this.i32[LOWEST_FREE] = used;
    }
  }

  isLive(row: number): boolean {
    return row > 0 && row < this.used && this.i32[row * this.stride] !== 0;
  }

  /** Makes room for `words` words without changing what is stored. */
  reserve(words: number): void {
    while (this.i32.length < words) this.#grow();
  }

  #grow(): void {
    const bigger = new Int32Array(this.i32.length * 2);
    bigger.set(this.i32);
    this.i32 = bigger;
    this.f64 = new Float64Array(bigger.buffer, 0, bigger.length >> 1);
  }
}

function clearRow(words: Int32Array, from: number, end: number): void {
  if (end - from > FEW_WORDS) words.fill(0, from, end);
  else for (let at = from; at < end; at++) words[at] = 0;
}

/**
 * All shared state of one machine: everything that a step may change and a checker must be able to save and put back.
 *
 * @public
 */
export class Memory {
  readonly segments: Segment[] = [];

  /** Adds a table of rows of `stride` int32 words, with room for `rows` rows before it has to grow. */
  segment(name: string, stride: number, rows = 8): Segment {
    const segment = new Segment(name, stride, rows);
    this.segments.push(segment);
    return segment;
  }

  /** Words that {@link save} writes now. */
  get words(): number {
    let words = 0;
    for (const segment of this.segments) words += STRIDE_WORD + segment.words;
    return words;
  }

  /** Copies the whole state out: for each segment its stride and its rows. */
  save(): Int32Array {
    const state = new Int32Array(this.words);
    let at = 0;
    for (const segment of this.segments) {
      state[at] = segment.stride;
      state.set(segment.i32.subarray(0, segment.words), at + STRIDE_WORD);
      at += STRIDE_WORD + segment.words;
    }
    return state;
  }

  /**
   * Puts a state back that {@link save} of this memory returned. Segments that came later are empty again; rows that have become wider
   * since keep their width.
   */
  restore(state: Int32Array): void {
    let at = 0;
    for (const segment of this.segments) {
      const before = segment.words;
      if (at >= state.length) {
        segment.i32.fill(0, 0, before);
        segment.i32[USED] = 1;
        segment.i32[LOWEST_FREE] = 1;
        continue;
      }
      const stride = state[at]!;
      const rows = state[at + STRIDE_WORD + USED]!;
      const from = at + STRIDE_WORD;
      segment.reserve(rows * segment.stride);
      if (stride === segment.stride) {
        copyWords(state, from, rows * stride, segment.i32);
        if (before > rows * stride) segment.i32.fill(0, rows * stride, before);
      } else {
        segment.i32.fill(0, 0, before);
        for (let row = 0; row < rows; row++)
          segment.i32.set(state.subarray(from + row * stride, from + (row + 1) * stride), row * segment.stride);
      }
      at = from + rows * stride;
    }
  }

  /** True when the state is word for word the one saved. */
  equals(state: Int32Array): boolean {
    if (state.length !== this.words) return false;
    let at = 0;
    for (const { i32, stride, words } of this.segments) {
      if (state[at] !== stride) return false;
      at += STRIDE_WORD;
      for (let i = 0; i < words; i++) if (i32[i] !== state[at + i]) return false;
      at += words;
    }
    return true;
  }
}

/** Copies `count` words of `from` from word `at` on to the beginning of `to`. */
function copyWords(from: Int32Array, at: number, count: number, to: Int32Array): void {
  if (count > FEW_WORDS) to.set(from.subarray(at, at + count));
  else for (let i = 0; i < count; i++) to[i] = from[at + i]!;
}
