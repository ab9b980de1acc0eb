import type { BindingContext, GfnRange } from "@mmu-notifier/sdk";
import { type Lock, lockAt, lockClass } from "@mmu-notifier/steps";
import type { RetryCounters } from "./shadow-mmu.js";

const MMU_LOCK = 0;
const IN_PROGRESS = 1;
const SEQ = 2;
const START = 3;
const END = 4;
const WORDS = 6;
const SEQ_MASK = 3;
const MMU_LOCK_CLASS = lockClass("mmu_lock", "spinlock");

/** Counters that remember the range of the invalidation that came last, instead of the hull of all that are under way. */
export class LastRangeCounters implements RetryCounters {
  readonly mmuLock: Lock;
  readonly #words;

  constructor({ memory }: Pick<BindingContext<unknown, unknown>, "memory">) {
    this.#words = memory.words("mmu_invalidate", WORDS);
    this.mmuLock = lockAt(MMU_LOCK_CLASS, this.#words.segment, this.#words.base + MMU_LOCK);
  }

  get seq(): number {
    return this.#words.get(SEQ);
  }

  get inProgress(): number {
    return this.#words.get(IN_PROGRESS);
  }

  begin(ranges: readonly GfnRange[]): void {
    this.#words.add(IN_PROGRESS, 1);
    for (const { start, end } of ranges) {
      this.#words.set(START, start);
      this.#words.set(END, end);
    }
  }

  end(): void {
    this.#words.add(IN_PROGRESS, -1);
    this.#words.set(SEQ, (this.seq + 1) & SEQ_MASK);
  }

  retry(seq: number, gfn: number): boolean {
    if (this.inProgress > 0 && gfn >= this.#words.get(START) && gfn < this.#words.get(END)) return true;
    return this.seq !== seq;
  }
}
