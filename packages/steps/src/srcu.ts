import type { Memory, Segment } from "./memory.js";
import { type Path, type Step, step, waitFor } from "./step.js";

const INDEX = 1;
const READERS = 2;

/**
 * Sleepable RCU: readers mark themselves in one of two counters; a grace period flips the counter that new readers use and
 * waits until the old one drains. One domain serves all mms, as mmu_notifier's `srcu` does.
 *
 * @public
 */
export class Srcu {
  readonly #segment: Segment;
  readonly #row: number;
  readonly name: string;

  constructor(memory: Memory, name: string) {
    this.#segment = memory.segment(`srcu ${name}`, 4, 1);
    this.#row = this.#segment.alloc() * 4;
    this.name = name;
  }

  /** srcu_read_lock(): returns the index that {@link readUnlock} wants back. */
  readLock(): Step {
    return step(`srcu_read_lock(${this.name})`, () => {
      const index = this.#segment.i32[this.#row + INDEX]!;
      this.#segment.i32[this.#row + READERS + index]!++;
      return index;
    });
  }

  /** srcu_read_unlock(). */
  readUnlock(index: number): Step {
    return step(`srcu_read_unlock(${this.name})`, () => {
      this.#segment.i32[this.#row + READERS + index]!--;
      return 0;
    });
  }

  /** synchronize_srcu(): sleeps until every reader that is inside now has left. */
  *synchronize(): Path {
    const wait = `synchronize_srcu(${this.name})`;
    yield waitFor(wait, () => this.#readers(1 - this.#segment.i32[this.#row + INDEX]!) === 0);
    const old = yield step(`${wait}: flip`, () => {
      const index = this.#segment.i32[this.#row + INDEX]!;
      this.#segment.i32[this.#row + INDEX] = 1 - index;
      return index;
    });
    yield waitFor(wait, () => this.#readers(old) === 0);
  }

  /** True while any reader is inside. */
  get active(): boolean {
    return this.#readers(0) + this.#readers(1) > 0;
  }

  #readers(index: number): number {
    return this.#segment.i32[this.#row + READERS + index]!;
  }
}
