import {
  type BindingContext,
  isWholeMm,
  type MmuNotification,
  pageRange,
  type Path,
  type SvaDomain,
} from "@mmu-notifier/sdk";

/** arm_smmu_mm_arch_invalidate_secondary_tlbs(): TLBI, CMD_SYNC, ATC_INV, CMD_SYNC. Spins, never sleeps: it may run under the page-table lock. */
export function* invalidate(domain: SvaDomain, start: number, end: number): Path {
  yield* domain.invalidateTlb(start, end);
  // The order is hard: the device may refill its cache from the IOTLB.
  yield* domain.invalidateAtcs(start, end);
}

/** What a notification asks of the domain. Every call means "entries in this range may be stale"; none says why. */
export function answer(
  context: Pick<BindingContext<unknown, unknown>, "costs">,
  domain: SvaDomain,
  notification: MmuNotification,
): void {
  context.costs.count("callbacks");
  if (notification.phase === "release") {
    notification.waitUntil(() => domain.release());
    return;
  }
  const { start, end } = isWholeMm(notification) ? { start: 0, end: Infinity } : pageRange(notification);
  notification.waitUntil(() => invalidate(domain, start, end));
}
