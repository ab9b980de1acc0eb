import type { Memory, Segment } from "@mmu-notifier/steps";
import type { Report } from "./model.js";

const BITS = 31;
const FIRST = 1;
const STRIDE = 4;

/**
 * Rules that were broken on the way to a state. They are kept in the memory, so that the search goes on and finds what the first
 * mistake leads to. Written inside steps.
 */
export class VerdictLog {
  readonly #segment: Segment;
  readonly #row: number;
  /** What the bits stand for, numbered as they are met. */
  readonly #known: Report[] = [];
  readonly #numbers = new Map<string, number>();

  constructor(memory: Memory) {
    this.#segment = memory.segment("verdicts", STRIDE, 1);
    this.#row = this.#segment.alloc() * STRIDE;
  }

  record(report: Report): void {
    const key = `${report.verdict} ${report.about}`;
    let number = this.#numbers.get(key);
    if (number === undefined) {
      number = this.#known.push(report) - 1;
      this.#numbers.set(key, number);
    }
    this.#segment.i32[this.#row + FIRST + Math.floor(number / BITS)]! |= 1 << (number % BITS);
  }

  /** What is recorded in the state in work. */
  reports(): readonly Report[] {
    const { i32 } = this.#segment;
    if (i32[this.#row + FIRST] === 0 && i32[this.#row + FIRST + 1] === 0) return NONE;
    return this.#known.filter(
      (_, number) => (i32[this.#row + FIRST + Math.floor(number / BITS)]! & (1 << (number % BITS))) !== 0,
    );
  }
}

const NONE: readonly Report[] = [];
