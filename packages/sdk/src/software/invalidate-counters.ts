import { type Lock, lockAt, lockClass, type WaitQueue, waitQueueAt, wakeUpAll } from "@mmu-notifier/steps";
import type { HardwareContext } from "../context.js";
import type { Words } from "../device-memory.js";
import type { GfnRange } from "./memslots.js";

const MMU_LOCK = 0;
const MN_ACTIVE = 1;
const IN_PROGRESS = 2;
const SEQ = 3;
const HULL_START = 4; // doubles
const HULL_END = 6;
const WAITERS = 8;
const BUGGED = 9;
const FAULTING = 10;
const RAISED_BY_OWN_FAULT = 11;
const WORDS = 12;

const MMU_LOCK_CLASS = lockClass("mmu_lock", "spinlock");

/** How the counters are built. */
export interface InvalidateCountersOptions {
  /** Bits of the sequence number; the kernel has 64. A checker takes few, so that loops come back to the same state. @defaultValue 30 */
  readonly seqBits?: number;
}

/**
 * What keeps a shadow MMU's faults and invalidations apart (KVM): a count of invalidations under way with the hull of their frames,
 * a sequence number that moves at every end, and a second count that freezes the memslots in between. Methods are for steps; those
 * marked so under {@link mmuLock}.
 *
 * @public
 */
export class InvalidateCounters {
  readonly mmuLock: Lock;
  /** Where memslot updates wait for {@link mnActive} to become 0. */
  readonly memslotWaiters: WaitQueue;
  readonly #words: Words;
  readonly #mask: number;
  readonly #context: HardwareContext;

  constructor(context: HardwareContext, { seqBits = 30 }: InvalidateCountersOptions = {}) {
    this.#context = context;
    this.#words = context.memory.words("mmu_invalidate", WORDS);
    this.#mask = 2 ** seqBits - 1;
    this.mmuLock = lockAt(MMU_LOCK_CLASS, this.#words.segment, this.#words.base + MMU_LOCK);
    this.memslotWaiters = waitQueueAt("mn_memslots_update_rcuwait", this.#words.segment, this.#words.base + WAITERS);
  }

  /** mn_active_invalidate_count: notifier calls between start and end. */
  get mnActive(): number {
    return this.#words.get(MN_ACTIVE);
  }

  /** mmu_invalidate_in_progress. */
  get inProgress(): number {
    return this.#words.get(IN_PROGRESS);
  }

  /** mmu_invalidate_seq. */
  get seq(): number {
    return this.#words.get(SEQ);
  }

  /** A count left its range: KVM_BUG_ON() marked the VM. */
  get bugged(): boolean {
    return this.#words.get(BUGGED) !== 0;
  }

  /** A notifier's start has come: memslots may not change. */
  freeze(): void {
    this.#words.add(MN_ACTIVE, 1);
  }

  /** Its end is done. */
  thaw(): void {
    if (this.#words.get(MN_ACTIVE) === 0) {
      this.#error("WARN_MN_ACTIVE", "an end without its start: mn_active_invalidate_count is 0 already");
      return;
    }
    if (this.#words.add(MN_ACTIVE, -1) === 0) wakeUpAll(this.memslotWaiters);
  }

  /** kvm_mmu_invalidate_begin() and _range_add(), under the lock: faults inside the hull retry from now on. */
  begin(ranges: readonly GfnRange[]): void {
    if (this.#words.add(IN_PROGRESS, 1) === 1) {
      this.#words.setDouble(HULL_START, Infinity);
      this.#words.setDouble(HULL_END, 0);
    }
    for (const { start, end } of ranges) {
      this.#words.setDouble(HULL_START, Math.min(this.#words.double(HULL_START), start));
      this.#words.setDouble(HULL_END, Math.max(this.#words.double(HULL_END), end));
    }
  }

  /** kvm_mmu_invalidate_end(), under the lock: whatever was looked up before must be looked up again. */
  end(): void {
    this.#words.set(SEQ, (this.#words.get(SEQ) + 1) & this.#mask);
    const left = this.#words.add(IN_PROGRESS, -1);
    if (left === 0) {
      this.#words.setDouble(HULL_START, 0);
      this.#words.setDouble(HULL_END, 0);
    }
    if (left >= 0) return;
    this.#words.set(BUGGED, 1);
    this.#error(
      "KVM_BUG_ON",
      "mmu_invalidate_in_progress is negative: an end was handled whose start was not. Filter an event in both or in neither",
    );
  }

  /** mmu_invalidate_retry_gfn(), under the lock: what was looked up since `seq` may not be installed. */
  retry(seq: number, gfn: number): boolean {
    const { inProgress } = this;
    const start = this.#words.double(HULL_START);
    // A hull that nobody set while something is in progress is a WARN in the kernel, and a retry.
    if (inProgress !== 0 && (start === Infinity || (gfn >= start && gfn < this.#words.double(HULL_END)))) return true;
    return this.#words.get(SEQ) !== seq;
  }

  // Who caused a retry, for the cost counters.

  /** Task `task` begins to resolve a fault. */
  faultBegins(task: number): void {
    this.#words.set(FAULTING, this.#words.get(FAULTING) | (1 << task));
  }

  /** An invalidation comes in task `task`, perhaps raised by that task's own fault. */
  raisedBy(task: number): void {
    const own = this.#words.get(FAULTING) & (1 << task);
    if (own !== 0) this.#words.set(RAISED_BY_OWN_FAULT, this.#words.get(RAISED_BY_OWN_FAULT) | own);
  }

  /** Task `task` is done with its fault; true when an invalidation that it raised itself came in between. */
  faultEnds(task: number): boolean {
    const own = (this.#words.get(RAISED_BY_OWN_FAULT) & (1 << task)) !== 0;
    this.#words.set(FAULTING, this.#words.get(FAULTING) & ~(1 << task));
    this.#words.set(RAISED_BY_OWN_FAULT, this.#words.get(RAISED_BY_OWN_FAULT) & ~(1 << task));
    return own;
  }

  #error(code: "KVM_BUG_ON" | "WARN_MN_ACTIVE", message: string): void {
    this.#context.events.error(code, message);
  }
}
