/**
 * What differs between kernels on the bus. A kernel profile of `core` carries one.
 *
 * @public
 */
export interface BusRules {
  /** The name of the event-less hook: `invalidate_range` up to v6.5, `arch_invalidate_secondary_tlbs` after. */
  readonly hook: "invalidate_range" | "arch_invalidate_secondary_tlbs";
  /** range_end calls the hook of each subscription first (up to v6.5). */
  readonly hookFromRangeEnd: boolean;
  /** Registration answers -EINVAL to a subscription that has both the hook and start or end (v6.6 on). */
  readonly rejectsMixedOps: boolean;
  /** change_pte exists (up to v6.10). */
  readonly hasChangePte: boolean;
  /** MMU_NOTIFY_PROTECTION_UPGRADE exists (the seed patch only). */
  readonly hasUpgradeEvent: boolean;
  /**
   * Repairs a hole that every kernel has: when a list subscriber refuses a non-blockable start, the interval phase that
   * went before is undone.
   *
   * @defaultValue false
   */
  readonly undoIntervalsOnEagain?: boolean;
  /**
   * A refused non-blockable start is followed by an end for everybody who has one: since v5.12 (c2655835fd8c).
   *
   * @defaultValue true
   */
  readonly endsAfterRefusedStart?: boolean;
  /**
   * mmu_notifier_unregister() takes the subscription off the list before it calls release, so that an exit at the same time finds
   * nobody to wait for: some kernels up to v3.10 (before d34883d4e35c).
   *
   * @defaultValue false
   */
  readonly unregisterUnhashesFirst?: boolean;
}
