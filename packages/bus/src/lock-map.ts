import { lockClass, lockMapAcquire, lockMapRelease } from "@mmu-notifier/steps";

/**
 * __mmu_notifier_invalidate_range_start_map: held around start and end, touched by read_begin, interval_remove, and by every
 * allocation that may reclaim. A driver lock that is taken in callbacks and held across such an allocation closes a cycle.
 *
 * @public
 */
export const MMU_NOTIFIER_INVALIDATE_RANGE_START_MAP = lockClass("mmu_notifier_invalidate_range_start", "map");

/** The map is entered; one step object serves all. */
export const MAP_ACQUIRE = lockMapAcquire(MMU_NOTIFIER_INVALIDATE_RANGE_START_MAP);
/** The map is left. */
export const MAP_RELEASE = lockMapRelease(MMU_NOTIFIER_INVALIDATE_RANGE_START_MAP);
