import type { Memory, Segment } from "@mmu-notifier/steps";

const HEADER = 4;

/**
 * A fixed block of int32 words of the machine's memory: registers, counters, a small table. Word 0 is the caller's first.
 * Read and written inside steps only.
 *
 * @public
 */
export class Words {
  /** The segment that the block lies in; for locks and wait queues. */
  readonly segment: Segment;
  /** Index of word 0 in the segment; even, so that pairs of words can be doubles. */
  readonly base: number;

  constructor(segment: Segment, base: number) {
    this.segment = segment;
    this.base = base;
  }

  get(index: number): number {
    return this.segment.i32[this.base + index]!;
  }

  set(index: number, value: number): void {
    this.segment.i32[this.base + index] = value;
  }

  /** Adds and returns the new value. */
  add(index: number, by: number): number {
    return (this.segment.i32[this.base + index]! += by);
  }

  /** The double in words `index` and `index + 1`; `index` is even. */
  double(index: number): number {
    return this.segment.f64[(this.base + index) / 2]!;
  }

  setDouble(index: number, value: number): void {
    this.segment.f64[(this.base + index) / 2] = value;
  }
}

/**
 * The part of the machine's memory that belongs to one device. All state that a driver keeps between steps lives here, so that a
 * checker can save it, put it back and compare it. Allocate segments at set-up only.
 *
 * @public
 */
export class DeviceMemory {
  /** The whole memory, for structures of lower floors that allocate for themselves (PageTables, Vectors). */
  readonly machine: Memory;
  readonly #prefix: string;

  constructor(machine: Memory, prefix: string) {
    this.machine = machine;
    this.#prefix = prefix;
  }

  /** A table of rows of `stride` words (even, at least 4; word 0 is the row's mark). */
  segment(name: string, stride: number, rows = 8): Segment {
    return this.machine.segment(`${this.#prefix} ${name}`, stride, rows);
  }

  /** A block of `count` words, all 0. */
  words(name: string, count: number): Words {
    const stride = HEADER + count + (count % 2);
    const segment = this.segment(name, stride, 1);
    return new Words(segment, segment.alloc() * stride + HEADER);
  }

  /** The same memory under a longer prefix. */
  named(name: string): DeviceMemory {
    return new DeviceMemory(this.machine, `${this.#prefix} ${name}`);
  }
}
