import type { MmuNotifyEvent } from "./events.js";

/** The one bit of mmu_notifier_range.flags: callbacks may sleep. */
export const MMU_NOTIFIER_RANGE_BLOCKABLE = 1;

/**
 * The end of "everything". The kernel's ULONG_MAX is 2^64 - 1, which no double holds; 2^64 is the next number that one
 * does, and as the exclusive end of a range it covers the same addresses.
 */
export const ULONG_MAX = 2 ** 64;

/**
 * struct mmu_notifier_range: what changes, and why. Built by the caller, passed unchanged to start and to end.
 *
 * @public
 */
export interface MmuNotifierRange {
  /** Number of the mm. */
  readonly mm: number;
  /** First byte. */
  readonly start: number;
  /** One past the last byte. */
  readonly end: number;
  readonly event: MmuNotifyEvent;
  /**
   * Bit 0 is {@link MMU_NOTIFIER_RANGE_BLOCKABLE}; absent means set. As in the kernel no caller chooses it:
   * `invalidateRangeStart` sets it and `invalidateRangeStartNonblock` clears it in the object that it is given.
   */
  readonly flags?: number;
  /** Who asked (MIGRATE and EXCLUSIVE only); 0 or absent is nobody. */
  readonly owner?: number;
}

/** mmu_notifier_range_blockable(). */
export function isBlockable(range: MmuNotifierRange): boolean {
  return range.flags === undefined || (range.flags & MMU_NOTIFIER_RANGE_BLOCKABLE) !== 0;
}

/**
 * Writes the blockable bit into the caller's range, as start and start_nonblock do; leaves an object that is right alone. Done by
 * the path, not by a step, so that a path that is replayed from its results finds the same range.
 */
export function setBlockable(range: MmuNotifierRange, blockable: boolean): void {
  if (isBlockable(range) === blockable) return;
  const flags = (range.flags ?? 0) & ~MMU_NOTIFIER_RANGE_BLOCKABLE;
  (range as { flags?: number }).flags = blockable ? flags | MMU_NOTIFIER_RANGE_BLOCKABLE : flags;
}
