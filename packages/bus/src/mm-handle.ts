import type { Lock, Path } from "@mmu-notifier/steps";

/**
 * What the bus needs to know of an mm; `core` implements it. Two histories that give a new mm the same number must give it
 * an equivalent handle.
 *
 * @public
 */
export interface MmHandle {
  /** Small positive number; indexes the bus's table of mms. */
  readonly id: number;
  readonly mmapLock: Lock;
  /** mm_users; inside a step. */
  users(): number;
  /** mmgrab(); inside a step. */
  grab(): void;
  /** mmdrop(); inside a step. May call {@link NotifierBus.forget} in the same step. */
  drop(): void;
  /** mm_take_all_locks(), mmap_lock held for writing: 0 or -EINTR. */
  takeAllLocks(): Path<number>;
  /** mm_drop_all_locks(). */
  dropAllLocks(): Path;
}
