import type { Path, SvaDomain } from "@mmu-notifier/sdk";

/**
 * arm_smmu_mm_arch_invalidate_secondary_tlbs(): TLBI, CMD_SYNC, ATC_INV, CMD_SYNC. Spins, never sleeps: it may run under the
 * page-table lock.
 */
export function* invalidate(domain: SvaDomain, start: number, end: number): Path {
  yield* domain.invalidateTlb(start, end);
  // The order is hard: the device may refill its cache from the IOTLB.
  yield* domain.invalidateAtcs(start, end);
}
