/** When a path sends the patch's MMU_NOTIFY_PROTECTION_UPGRADE. */
export type UpgradeNotification = "no" | "after-ptl" | "under-ptl";

/** The places that gain rights on the same frame (all callers of *_set_access_flags, and swap-in followed by do_wp_page). */
export interface UpgradeEventSites {
  readonly handlePteFault: UpgradeNotification;
  readonly wpPageReuse: UpgradeNotification;
  readonly wpPageCopyUser: UpgradeNotification;
  readonly insertPfn: UpgradeNotification;
  readonly insertPfnPmd: UpgradeNotification;
  readonly touchPmd: UpgradeNotification;
  readonly doHugePmdWpPage: UpgradeNotification;
  readonly hugetlbFault: UpgradeNotification;
  readonly doSwapPage: UpgradeNotification;
}

/**
 * A kernel, as data over one mechanism: what notifies where, which hooks exist, how far flushes reach.
 *
 * @public
 */
export interface KernelProfile {
  /** For instance `v6.4+upgrade-event`. */
  readonly name: string;
  /** One line for `mmun list`. */
  readonly summary: string;
  /** Major and minor version that rules of the kind "since" compare with, for instance [6, 4]. */
  readonly version: readonly [number, number];
  /** The event-less hook's name. */
  readonly hook: "invalidate_range" | "arch_invalidate_secondary_tlbs";
  /** invalidate_range_end() calls the hook unless only_end (up to v6.5). */
  readonly hookFromRangeEnd: boolean;
  /** mmu_gather's flush calls the hook (up to v6.5). */
  readonly hookFromMmuGather: boolean;
  /** The architecture's TLB flush functions call the hook (from v6.6). */
  readonly hookFromArchFlush: boolean;
  readonly hasChangePte: boolean;
  readonly rejectsMixedOps: boolean;
  /** MMU_NOTIFY_PROTECTION_UPGRADE exists and is sent from these places; undefined in kernels without the patch. */
  readonly upgradeEvent: UpgradeEventSites | undefined;
  /** The event is sent only when a present entry gained a hardware right, not whenever ptep_set_access_flags() says so. */
  readonly upgradeEventOnlyWhenGained: boolean;
  /** Reach of the arm64 flush on an upgrade: broadcast up to v6.x, local from v7.0. */
  readonly arm64UpgradeFlush: "inner-shareable" | "local";
  /** Level whose boundaries cut mprotect's ranges: PMD loop (up to v6.10) or PUD loop. */
  readonly mprotectRangeLevel: "pmd" | "pud";
}

/** True when the profile is of version `major.minor` or newer. */
export function since(profile: KernelProfile, major: number, minor: number): boolean {
  const [at, below] = profile.version;
  return at > major || (at === major && below >= minor);
}
