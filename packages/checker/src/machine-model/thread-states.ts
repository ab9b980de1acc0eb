import type { Segment } from "@mmu-notifier/steps";
import type { Memory } from "@mmu-notifier/steps";

const HEADER = 4;
const BETWEEN = 0;
const CHANGES = 1;
const DONE = 2;

/** Where each thread of a model is, as far as others ask: in an operation that changes address spaces, between operations, at its end. */
export class ThreadStates {
  readonly #segment: Segment;
  readonly #at: number;
  readonly #threads: number;

  constructor(memory: Memory, threads: number) {
    const words = HEADER + threads;
    const stride = words + (words % 2);
    this.#segment = memory.segment("threads", stride, 1);
    this.#at = this.#segment.alloc() * stride + HEADER;
    this.#threads = threads;
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

  /** Every thread is at its end. */
  get done(): boolean {
    for (let t = 0; t < this.#threads; t++) if (this.#segment.i32[this.#at + t] !== DONE) return false;
    return true;
  }

  #set(thread: number, state: number): void {
    this.#segment.i32[this.#at + thread] = state;
  }
}
