import type { MuseumEntry } from "./entry.js";
import { amdEmptyTableUncounted } from "./entries/amd-empty-table-uncounted.js";
import { asidRolloverVsTlbi } from "./entries/asid-rollover-vs-tlbi.js";
import { contpteGatheredNoopLoop } from "./entries/contpte-gathered-noop-loop.js";
import { cowNotifyLateBreaksDeviceOrder } from "./entries/cow-notify-late-breaks-device-order.js";
import { dontneedVsPendingFlush } from "./entries/dontneed-vs-pending-flush.js";
import { exitFreesBeforeReleaseDone } from "./entries/exit-frees-before-release-done.js";
import { hwWalkerWithStartEndOnly } from "./entries/hw-walker-with-start-end-only.js";
import { intervalSetSeqSkipped } from "./entries/interval-set-seq-skipped.js";
import { itreeRemoveReturnsEarly } from "./entries/itree-remove-returns-early.js";
import { khugepagedFileCollapseNoNotify } from "./entries/khugepaged-file-collapse-no-notify.js";
import { kvmChangePteUnbracketed } from "./entries/kvm-change-pte-unbracketed.js";
import { kvmDirtylogSkipFlush } from "./entries/kvm-dirtylog-skip-flush.js";
import { kvmMemslotChangeBetweenStartEnd } from "./entries/kvm-memslot-change-between-start-end.js";
import { kvmNoRetryCheck } from "./entries/kvm-no-retry-check.js";
import { kvmPfncacheSelfLivelock } from "./entries/kvm-pfncache-self-livelock.js";
import { kvmRangeRetryNotAccumulated } from "./entries/kvm-range-retry-not-accumulated.js";
import { kvmYieldRestartsAndSkips } from "./entries/kvm-yield-restarts-and-skips.js";
import { migrateOwnerFilter } from "./entries/migrate-owner-filter.js";
import { mmnFailedStartNoEnd } from "./entries/mmn-failed-start-no-end.js";
import { mremapFlushAfterUnlock } from "./entries/mremap-flush-after-unlock.js";
import { odpMmputInFaultPath } from "./entries/odp-mmput-in-fault-path.js";
import { oomReaperSleepingNotifiers } from "./entries/oom-reaper-sleeping-notifiers.js";
import { pmdSharingRangeTooSmall } from "./entries/pmd-sharing-range-too-small.js";
import { registerRacesWithVmaLockedFault } from "./entries/register-races-with-vma-locked-fault.js";
import { seedMissedWpPageReuse } from "./entries/seed-missed-wp-page-reuse.js";
import { smmuAtcBeforeTlbi } from "./entries/smmu-atc-before-tlbi.js";
import { smmuEndInclusiveSize } from "./entries/smmu-end-inclusive-size.js";
import { smmuNobtmUpgradeLivelock } from "./entries/smmu-nobtm-upgrade-livelock.js";
import { softDirtyTlbElided } from "./entries/soft-dirty-tlb-elided.js";
import { svaPasidFreedTooEarly } from "./entries/sva-pasid-freed-too-early.js";
import { upgradeCallbackInstallsPte } from "./entries/upgrade-callback-installs-pte.js";
import { vtdAtsInvalidationTimeout } from "./entries/vtd-ats-invalidation-timeout.js";
import { vtdKernelPageTableStaleIotlb } from "./entries/vtd-kernel-page-table-stale-iotlb.js";
import { vtdPsiUnaligned } from "./entries/vtd-psi-unaligned.js";
import { xeFolioLockInversion } from "./entries/xe-folio-lock-inversion.js";

/**
 * The bugs of the museum, those first that tell a driver's author most.
 *
 * @public
 */
export const museum: readonly MuseumEntry[] = [
  smmuNobtmUpgradeLivelock,
  smmuAtcBeforeTlbi,
  kvmNoRetryCheck,
  hwWalkerWithStartEndOnly,
  upgradeCallbackInstallsPte,
  seedMissedWpPageReuse,
  contpteGatheredNoopLoop,
  kvmRangeRetryNotAccumulated,
  mremapFlushAfterUnlock,
  khugepagedFileCollapseNoNotify,
  itreeRemoveReturnsEarly,
  kvmMemslotChangeBetweenStartEnd,
  mmnFailedStartNoEnd,
  svaPasidFreedTooEarly,
  pmdSharingRangeTooSmall,
  vtdPsiUnaligned,
  cowNotifyLateBreaksDeviceOrder,
  dontneedVsPendingFlush,
  exitFreesBeforeReleaseDone,
  xeFolioLockInversion,
  softDirtyTlbElided,
  amdEmptyTableUncounted,
  intervalSetSeqSkipped,
  oomReaperSleepingNotifiers,
  kvmPfncacheSelfLivelock,
  kvmDirtylogSkipFlush,
  kvmChangePteUnbracketed,
  asidRolloverVsTlbi,
  migrateOwnerFilter,
  vtdAtsInvalidationTimeout,
  vtdKernelPageTableStaleIotlb,
  odpMmputInFaultPath,
  registerRacesWithVmaLockedFault,
  kvmYieldRestartsAndSkips,
  smmuEndInclusiveSize,
];
