import type { KernelProfile, UpgradeEventSites } from "../kernel-profile.js";

/** Debian's build of 5.10: the oldest kernel that was recorded. */
const v5_10: KernelProfile = {
  name: "v5.10",
  summary: "the invalidate_range hook, change_pte, aging in reclaim; nothing on an upgrade",
  version: [5, 10],
  hook: "invalidate_range",
  hookFromRangeEnd: true,
  hookFromMmuGather: true,
  hookFromArchFlush: false,
  hasChangePte: true,
  rejectsMixedOps: false,
  upgradeEvent: undefined,
  upgradeEventOnlyWhenGained: false,
  arm64UpgradeFlush: "inner-shareable",
  arm64UpgradeFlushSpan: "page",
  arm64HugetlbClearFlushSpan: "page",
  x86HookRange: "flushed",
  mprotectGathers: false,
  mprotectBatches: false,
  hugetlbGathers: "x86-64",
  x86PmdModifyDropsDirty: false,
  mprotectRangeLevel: "pmd",
  hugetlbTruncateEvent: "MMU_NOTIFY_UNMAP",
  hugetlbNestedRange: true,
  oomReapEvent: "MMU_NOTIFY_UNMAP",
  punchHoleWritesBack: true,
  procMemForces: true,
  uffdUnregisterResolves: false,
  arm64UffdWp: "ignored",
  daxWriteProtectEvent: "MMU_NOTIFY_CLEAR",
  faultAroundMapsFolios: false,
  daxReadDirties: false,
  daxPagesAreNormal: false,
  thpSwapsWhole: false,
  flushesFoldedP4d: false,
  reclaimAges: true,
  perVmaLock: "no",
  contpte: false,
  arm64MkwriteNeedsDirty: false,
};

const v6_1: KernelProfile = {
  ...v5_10,
  name: "v6.1",
  summary: "as v5.10 with folios, maple-tree VMAs and userfaultfd unregister events",
  version: [6, 1],
  hugetlbGathers: "always",
  flushesFoldedP4d: true,
  mprotectGathers: true,
  uffdUnregisterResolves: true,
  arm64UffdWp: "refused",
  arm64MkwriteNeedsDirty: true,
  daxWriteProtectEvent: "MMU_NOTIFY_PROTECTION_PAGE",
  daxReadDirties: true,
};

const v6_4: KernelProfile = {
  ...v6_1,
  name: "v6.4",
  summary: "the base of the patch: per-VMA locks for anonymous faults, one range for hugetlb",
  version: [6, 4],
  hugetlbTruncateEvent: "MMU_NOTIFY_CLEAR",
  hugetlbNestedRange: false,
  hugetlbGathers: "never",
  perVmaLock: "anon",
  arm64MkwriteNeedsDirty: false,
  daxReadDirties: false,
};

/** The four places of the patch, one of them before the page-table lock is dropped. */
const AS_WRITTEN: UpgradeEventSites = {
  handlePteFault: "after-ptl",
  wpPageReuse: "no",
  wpPageCopyUser: "under-ptl",
  insertPfn: "after-ptl",
  insertPfnPmd: "no",
  touchPmd: "no",
  doHugePmdWpPage: "no",
  hugetlbFault: "after-ptl",
  doSwapPage: "no",
};

/** Every place that gains a right, always after the lock; the access-flag-only one never. */
const REPAIRED: UpgradeEventSites = {
  handlePteFault: "after-ptl",
  wpPageReuse: "after-ptl",
  wpPageCopyUser: "no",
  insertPfn: "after-ptl",
  insertPfnPmd: "after-ptl",
  touchPmd: "after-ptl",
  doHugePmdWpPage: "after-ptl",
  hugetlbFault: "after-ptl",
  doSwapPage: "after-ptl",
};

const v6_4_upgradeEvent: KernelProfile = {
  ...v6_4,
  name: "v6.4+upgrade-event",
  summary: "MMU_NOTIFY_PROTECTION_UPGRADE from the four places of the patch, exactly as written",
  upgradeEvent: AS_WRITTEN,
};

const v6_4_upgradeEventFixed: KernelProfile = {
  ...v6_4,
  name: "v6.4+upgrade-event-fixed",
  summary: "the event from every place that gains a hardware right, never under a spinlock, never without a gain",
  upgradeEvent: REPAIRED,
  upgradeEventOnlyWhenGained: true,
};

const v6_12: KernelProfile = {
  ...v6_4,
  name: "v6.12",
  summary: "arch_invalidate_secondary_tlbs from the architecture's flushes, upgrades included; no change_pte",
  version: [6, 12],
  hugetlbGathers: "always",
  x86PmdModifyDropsDirty: true,
  hook: "arch_invalidate_secondary_tlbs",
  hookFromRangeEnd: false,
  hookFromMmuGather: false,
  hookFromArchFlush: true,
  hasChangePte: false,
  rejectsMixedOps: true,
  mprotectRangeLevel: "pud",
  punchHoleWritesBack: false,
  arm64UffdWp: "works",
  reclaimAges: false,
  perVmaLock: "all",
  contpte: true,
  arm64MkwriteNeedsDirty: true,
};

const v6_18: KernelProfile = {
  ...v6_12,
  name: "v6.18",
  summary: "as v6.12 with guard regions on files, large folios in more places",
  version: [6, 18],
  x86PmdModifyDropsDirty: false,
  arm64HugetlbClearFlushSpan: "entry",
  x86HookRange: "asked",
  mprotectBatches: true,
  faultAroundMapsFolios: true,
  daxPagesAreNormal: true,
};

const v7_3: KernelProfile = {
  ...v6_18,
  name: "v7.3",
  summary: "arm64 flushes upgrades on the local CPU only and still calls the hook",
  version: [7, 3],
  arm64UpgradeFlush: "local",
  arm64UpgradeFlushSpan: "entry",
  oomReapEvent: "MMU_NOTIFY_CLEAR",
  procMemForces: false,
  thpSwapsWhole: true,
  faultAroundMapsFolios: false,
};

/**
 * Every kernel that ships with the model, oldest first.
 *
 * @public
 */
export const kernelProfiles: readonly KernelProfile[] = [
  v5_10,
  v6_1,
  v6_4,
  v6_4_upgradeEvent,
  v6_4_upgradeEventFixed,
  v6_12,
  v6_18,
  v7_3,
];
