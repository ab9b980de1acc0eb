// The machine
export { Kernel, type KernelOptions } from "./kernel.js";
export { DEFAULT_CONFIG, type KernelConfig } from "./kernel-config.js";
export type { KernelEvent } from "./kernel-event.js";
export { type KernelProfile, since, type UpgradeEventSites, type UpgradeNotification } from "./kernel-profile.js";
export type { Thread } from "./thread.js";

// Architectures and kernels by name
export type {
  Architecture,
  DescriptorBit,
  DescriptorConstant,
  FlushRules,
  FlushScope,
  NeedsFlushRules,
  SetAccessFlagsRules,
  Version,
} from "./arch/architecture.js";
export { architectures } from "./arch/architectures.js";
export { architecture, kernelProfile } from "./profiles/lookup.js";
export { kernelProfiles } from "./profiles/profiles.js";
export { PteOps, type PteOpsOptions } from "./arch/pte-ops.js";

// Page tables, frames, address spaces
export * from "./pte.js";
export { FOUR_LEVEL, type Geometry, PAGE_SHIFT, PAGE_SIZE, pagesPerEntry, TINY } from "./geometry.js";
export { PageTables, PMD_LEVEL, type Ptep, PTE_LEVEL, PUD_LEVEL } from "./page-table.js";
export * from "./page.js";
export * from "./vma.js";
export * from "./mm.js";
export * from "./file.js";
export { AnonVmas } from "./anon-vma.js";
export { Swap } from "./swap.js";

// CPU TLBs and their flushes
export {
  archFlushNotifies,
  flushBarrier,
  type FlushOptions,
  flushPmdTlbRange,
  flushTlbLocal,
  flushTlbMm,
  flushTlbPage,
  flushTlbPageNosync,
  flushTlbRange,
} from "./tlb/flush.js";
export { MmuGather, tlbGatherMmu, tlbGatherMmuFullmm } from "./tlb/mmu-gather.js";
export * from "./tlb/ptep.js";
export {
  CONT_PTES,
  contptePtepGet,
  contpteTryFold,
  contpteTryUnfold,
  contpteTryUnfoldPartial,
  hasContpte,
  pteValidCont,
  setPtes,
} from "./tlb/contpte.js";
export {
  flushTlbBatchedPending,
  setTlbUbcFlushPending,
  shouldDeferFlush,
  TlbUnmapBatch,
  tryToUnmapFlush,
  tryToUnmapFlushDirty,
} from "./tlb/unmap-batch.js";
export { CpuTlbs } from "./tlb/cpu-tlb.js";
export { Dvm, type DvmParticipant } from "./tlb/dvm.js";

// Address spaces: birth, fork, death
export { createMm, type CreateMmOptions } from "./lifecycle/create-mm.js";
export { sysFork } from "./lifecycle/fork.js";
export { sysExecve } from "./lifecycle/exec.js";
export { mmdrop, mmget, mmgrab, mmput } from "./lifecycle/mm-count.js";
export { mmHandle } from "./lifecycle/mm-handle.js";

// System calls
export * from "./syscalls/mman.js";
export { type MmapRequest, sysMmap } from "./syscalls/mmap.js";
export { sysMprotect } from "./syscalls/mprotect.js";
export { sysMunmap } from "./unmap/munmap.js";
export { sysMremap } from "./mremap/mremap.js";
export * from "./madvise/advice.js";
export { sysMadvise, sysProcessMadvise } from "./madvise/madvise.js";
export { sysBrk } from "./syscalls/brk.js";
export { sysMlock, sysMlock2, sysMlockall, sysMunlock, sysMunlockall } from "./syscalls/mlock.js";
export { sysMincore } from "./syscalls/mincore.js";
export { sysMsync } from "./syscalls/msync.js";
export { sysMseal } from "./syscalls/mseal.js";
export { sysRemapFilePages } from "./syscalls/remap-file-pages.js";
export { sysRegisterBuffers, sysUnregisterBuffers } from "./syscalls/register-buffers.js";
export { processVmAccess, procMemAccess } from "./syscalls/remote-access.js";

// Faults: user and kernel accesses, other agents, GUP
export * from "./fault/vm-fault.js";
export { type Access, cpuAccess } from "./fault/cpu-access.js";
export * from "./fault/user-fault.js";
export { handleMmFault } from "./fault/handle-mm-fault.js";
export { getUserPages, type GupFlags, unpinUserPage } from "./fault/gup.js";
export { pinUserPages, unpinUserPages } from "./fault/pin-user-pages.js";
export { notifyProtectionUpgrade, upgradeEventDue, type UpgradeSite } from "./fault/upgrade-event.js";
export { vmPageProt, vmPageProtOf } from "./fault/vm-page-prot.js";
export { type AnonOrderSetting, HugeAnonOrders } from "./huge/anon-orders.js";
export { splitHugePmd } from "./huge/split-huge-pmd.js";
export { HugetlbPool } from "./hugetlb/hugetlb-pool.js";
export {
  UFFD_FEATURE_SIGBUS,
  UFFD_FEATURE_WP_ASYNC,
  UFFD_FEATURE_WP_UNPOPULATED,
  Userfaultfds,
} from "./userfaultfd.js";

// Files
export { DiskReads } from "./files/disk-reads.js";
export { sysFsync, sysSync, vfsFsyncRange } from "./file-ops/writeback.js";
export { sysFtruncate } from "./file-ops/truncate.js";
export {
  FALLOC_FL_COLLAPSE_RANGE,
  FALLOC_FL_KEEP_SIZE,
  FALLOC_FL_PUNCH_HOLE,
  FALLOC_FL_ZERO_RANGE,
  sysFallocate,
} from "./file-ops/fallocate.js";
export { READ_NOTHING, sysPread, sysPwrite } from "./file-ops/read-write.js";
export { dropCaches, sysFadviseDontneed } from "./file-ops/fadvise.js";

// Reclaim, migration, merging, collapse
export { madviseCold } from "./reclaim/madvise-cold.js";
export { madvisePageout } from "./reclaim/madvise-pageout.js";
export { sysSwapoff, sysSwapon } from "./reclaim/swapoff.js";
export { splitFolio } from "./huge/split-folio.js";
export { sysMbind } from "./migrate/mbind.js";
export { sysMovePages } from "./migrate/move-pages.js";
export { makeDeviceExclusive } from "./migrate/device-exclusive.js";
export { migrateVma } from "./migrate/migrate-vma.js";
export { ksmRun, ksmUnmergeAll } from "./ksm/ksmd.js";
export { unmergeKsmPages } from "./ksm/unmerge.js";
export { madviseCollapse } from "./khugepaged/madvise-collapse.js";
export { khugepagedScan } from "./khugepaged/khugepaged.js";
export { oomReapTaskMm, sysProcessMrelease } from "./oom/process-mrelease.js";

// userfaultfd, /proc
export { sysUserfaultfd } from "./userfaultfd/create.js";
export { type UffdModes, uffdRegister, uffdRelease, uffdUnregister } from "./userfaultfd/register.js";
export { uffdWriteprotect } from "./userfaultfd/write-protect.js";
export { uffdCopy, uffdZeropage } from "./userfaultfd/fill.js";
export { uffdMove } from "./userfaultfd/move.js";
export { clearRefs } from "./proc/clear-refs.js";
export { pagemapScan } from "./proc/pagemap-scan.js";

// Errno
export * from "./errno.js";
