import { mightSleep, type Path, step } from "@mmu-notifier/steps";
import { hugeOrder } from "../huge/huge-zero.js";
import type { Kernel } from "../kernel.js";
import { PG_HUGETLB, PG_UPTODATE } from "../page.js";
import { vmaCommitReservation, vmaNeedsReservation } from "./hugetlb-reserve.js";

/**
 * alloc_hugetlb_folio(): a zeroed huge page out of the pool, through the VMA's promise unless `avoidReserve`; 0 when there is none.
 * May sleep.
 */
export function* allocHugetlbFolio(k: Kernel, vma: number, vpn: number, avoidReserve: boolean): Path<number> {
  yield mightSleep("alloc_hugetlb_folio");
  return yield step("alloc_hugetlb_folio", () => {
    const promised = !vmaNeedsReservation(k, vma, vpn);
    if (!k.hugetlb.take(promised && !avoidReserve)) return 0;
    vmaCommitReservation(k, vma, vpn);
    return k.pages.alloc(hugeOrder(k), PG_HUGETLB | PG_UPTODATE);
  });
}
