import { type Step, step } from "@mmu-notifier/steps";
import type { Words } from "../device-memory.js";

/**
 * A sequence count (seqcount_t): writers make it odd while they change something, readers look at it before and after. One word.
 *
 * @public
 */
export class SequenceCount {
  readonly #words: Words;
  readonly #index: number;
  readonly #mask: number;

  /** @param bits width of the number; a checker takes few, so that loops come back to the same state */
  constructor(words: Words, index = 0, bits = 30) {
    this.#words = words;
    this.#index = index;
    this.#mask = 2 ** bits - 1;
  }

  /** write_seqcount_begin(). */
  writeBegin(): Step {
    return step("write_seqcount_begin", () => this.#next());
  }

  /** write_seqcount_end(). */
  writeEnd(): Step {
    return step("write_seqcount_end", () => this.#next());
  }

  /** raw_read_seqcount(): does not wait; an odd result is sure to retry. */
  readBegin(): Step {
    return step("read_seqcount_begin", () => this.#words.get(this.#index));
  }

  /** read_seqcount_retry(): 1 when what was read since `seq` may be torn or old. */
  readRetry(seq: number): Step {
    return step("read_seqcount_retry", () => (this.retries(seq) ? 1 : 0));
  }

  /** The same for use inside a bigger step. */
  retries(seq: number): boolean {
    return (seq & 1) !== 0 || this.#words.get(this.#index) !== seq;
  }

  #next(): number {
    const next = (this.#words.get(this.#index) + 1) & this.#mask;
    this.#words.set(this.#index, next);
    return next;
  }
}
