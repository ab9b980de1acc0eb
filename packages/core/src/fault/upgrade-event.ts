import type { Path } from "@mmu-notifier/steps";
import { PAGE_SIZE } from "../geometry.js";
import type { Kernel } from "../kernel.js";
import type { UpgradeEventSites } from "../kernel-profile.js";
import { SAF_GAINED } from "../tlb/set-access-flags.js";

/** A place that may send MMU_NOTIFY_PROTECTION_UPGRADE. */
export type UpgradeSite = keyof UpgradeEventSites;

/**
 * Whether `site` sends the event now.
 *
 * @param when where the path is: still under the page-table lock, or past it
 * @param result what ptepSetAccessFlags() returned. The patch takes "call update_mmu_cache" for "upgraded"; a repaired kernel looks
 *   whether hardware gained a right
 */
export function upgradeEventDue(
  k: Kernel,
  site: UpgradeSite,
  when: "after-ptl" | "under-ptl",
  result: number,
): boolean {
  if (k.profile.upgradeEvent?.[site] !== when) return false;
  return k.profile.upgradeEventOnlyWhenGained ? (result & SAF_GAINED) !== 0 : result !== 0;
}

/**
 * The start and end of MMU_NOTIFY_PROTECTION_UPGRADE over pages [startVpn, endVpn), with nothing between: the entries have changed
 * already.
 */
export function* notifyProtectionUpgrade(k: Kernel, mm: number, startVpn: number, endVpn: number): Path {
  const range = {
    mm,
    start: startVpn * PAGE_SIZE,
    end: endVpn * PAGE_SIZE,
    event: "MMU_NOTIFY_PROTECTION_UPGRADE",
  } as const;
  yield* k.bus.invalidateRangeStart(range);
  yield* k.bus.invalidateRangeEnd(range);
}
