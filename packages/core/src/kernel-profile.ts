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
  /**
   * Reach of arm64's flush in ptep_set_access_flags(), and whether flush_tlb_fix_spurious_fault() flushes locally: broadcast and no
   * up to v6.19, local and yes since v7.0.
   */
  readonly arm64UpgradeFlush: "inner-shareable" | "local";
  /** What arm64's upgrade flush covers of a huge leaf: one base page (flush_tlb_page) up to v6.19, the leaf since v7.0. */
  readonly arm64UpgradeFlushSpan: "page" | "entry";
  /** What arm64's huge_ptep_clear_flush() covers: one base page up to v6.15, the leaf since v6.16. */
  readonly arm64HugetlbClearFlushSpan: "page" | "entry";
  /** The range that x86 tells the hook: widened to everything above the flush ceiling up to v6.14, as asked for since v6.15. */
  readonly x86HookRange: "flushed" | "asked";
  /**
   * mprotect collects its flushes in an mmu_gather and asks pte_needs_flush(): since v5.18; before, it flushes each VMA's range as
   * a whole.
   */
  readonly mprotectGathers: boolean;
  /** mprotect takes runs of entries out and in at once, so that arm64 does not fold them again: since v6.17. */
  readonly mprotectBatches: boolean;
  /**
   * mprotect and mremap of hugetlb collect what they changed in a gather of their own. Late stable releases do; the v6.4 that was
   * read does not, nor does the 5.10.218 that was recorded on arm64, while x86's 5.10.262 does.
   */
  readonly hugetlbGathers: "never" | "x86-64" | "always";
  /** x86's pmd_modify() loses the dirty bit of a huge entry: seen on v6.12. */
  readonly x86PmdModifyDropsDirty: boolean;
  /** Boundaries that cut mprotect's ranges: change_pmd_range() up to v6.10, change_pud_range() since v6.11. */
  readonly mprotectRangeLevel: "pmd" | "pud";
  /** Event of unmap_hugepage_range() (truncation, hole punch): UNMAP up to v6.2, CLEAR since v6.3. */
  readonly hugetlbTruncateEvent: "MMU_NOTIFY_UNMAP" | "MMU_NOTIFY_CLEAR";
  /** __unmap_hugepage_range() sends its own range inside the caller's (munmap, MADV_DONTNEED): up to v6.1. */
  readonly hugetlbNestedRange: boolean;
  /** Event of __oom_reap_task_mm() (process_mrelease): UNMAP up to v6.19, CLEAR since v7.0. */
  readonly oomReapEvent: "MMU_NOTIFY_UNMAP" | "MMU_NOTIFY_CLEAR";
  /** ext4's punch hole writes the range back first, which write-protects its dirty pages: up to v6.4 of those recorded, not in v6.12. */
  readonly punchHoleWritesBack: boolean;
  /** Writes through /proc/PID/mem may override missing rights (FOLL_FORCE): not in Debian's v7.3 (CONFIG_PROC_MEM_*). */
  readonly procMemForces: boolean;
  /** userfaultfd_unregister() takes write protection away with a range event: not in v5.10. */
  readonly uffdUnregisterResolves: boolean;
  /**
   * What arm64 does with userfaultfd write protection: registers and protects nothing (v5.10), refuses (v6.1 to v6.9), works (since
   * v6.10).
   */
  readonly arm64UffdWp: "ignored" | "refused" | "works";
  /** Event of write-protecting a DAX page for writeback: CLEAR up to v5.10, PROTECTION_PAGE since. */
  readonly daxWriteProtectEvent: "MMU_NOTIFY_CLEAR" | "MMU_NOTIFY_PROTECTION_PAGE";
  /**
   * filemap_map_pages() maps a large folio as far as VMA and page table reach, beyond the window around the fault: v6.18, no longer
   * in v7.3.
   */
  readonly faultAroundMapsFolios: boolean;
  /** A read fault of a DAX file marks its entry dirty as well, so that the next fsync visits it: dax_insert_entry() of v6.0 and v6.1. */
  readonly daxReadDirties: boolean;
  /** Pages of DAX files are counted like others and their entries are not special, insert_page() instead of insert_pfn(): since v6.15. */
  readonly daxPagesAreNormal: boolean;
  /**
   * Reclaim gives a large anonymous folio swap slots in a row and keeps it whole. Since v6.14 swap on rotating disks can; before, and
   * in kernels built without CONFIG_THP_SWAP (the v6.18 that was recorded), the folio is split first.
   */
  readonly thpSwapsWhole: boolean;
  /**
   * Where a level is folded at run time, free_pgd_range() counts its table as freed though there is none, and flushes: not seen on
   * v5.10.
   */
  readonly flushesFoldedP4d: boolean;
  /**
   * folio_referenced() asks secondary MMUs with clear_flush_young for each page it reclaims; the multi-generational LRU of later
   * builds does not.
   */
  readonly reclaimAges: boolean;
  /** Faults try the per-VMA lock before mmap_lock: never, for anonymous VMAs (v6.4, v6.5), for all (since v6.6). */
  readonly perVmaLock: "no" | "anon" | "all";
  /** The arm64 contpte layer folds runs of 16 entries: since v6.9. */
  readonly contpte: boolean;
  /** pte_mkwrite() of arm64 leaves a clean entry read-only to hardware: since v6.12.y, and in v6.1.y. */
  readonly arm64MkwriteNeedsDirty: boolean;
}

/** True when the profile is of version `major.minor` or newer. */
export function since(profile: KernelProfile, major: number, minor: number): boolean {
  const [at, below] = profile.version;
  return at > major || (at === major && below >= minor);
}
