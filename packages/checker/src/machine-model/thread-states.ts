import type { Memory, Segment } from "@mmu-notifier/steps";

const HEADER = 4;
const BETWEEN = 0;
const CHANGES = 1;
const DONE = 2;

/** Where each thread of a model is, as far as others ask: in an operation that changes address spaces, between operations, at its end. */
export class ThreadStates {
  readonly #segment: Segment;
  readonly #at: number;
  readonly #threads: number;
  /** Numbers of the threads that others wait for. */
  readonly #waitedFor: readonly number[];

  /** @param late which threads begin only when all others are at their ends */
  constructor(memory: Memory, late: readonly boolean[]) {
    const words = HEADER + late.length;
    const stride = words + (words % 2);
    this.#segment = memory.segment("threads", stride, 1);
    this.#at = this.#segment.alloc() * stride + HEADER;
    this.#threads = late.length;
    this.#waitedFor = late.flatMap((is, thread) => (is ? [] : [thread]));
  }

  begins(thread: number): void {
    this.#set(thread, CHANGES);
  }

  returns(thread: number): void {
    this.#set(thread, BETWEEN);
  }

  ends(thread: number): void {
    this.#set(thread, DONE);
  }

  /** Nobody is in an operation that changes address spaces. */
  get quiet(): boolean {
    for (let t = 0; t < this.#threads; t++) if (this.#segment.i32[this.#at + t] === CHANGES) return false;
    return true;
  }

  /** Every thread that is not late is at its end. */
  get done(): boolean {
    for (const t of this.#waitedFor) if (this.#segment.i32[this.#at + t] !== DONE) return false;
    return true;
  }

  #set(thread: number, state: number): void {
    this.#segment.i32[this.#at + thread] = state;
  }
}
