import type { Kernel } from "./kernel.js";
import { PG_HUGETLB, PG_SWAPCACHE } from "./page.js";

/** folio_put(): drops references; the last one frees the folio, a hugetlb one into its pool. True when it went. Inside a step. */
export function folioPut(k: Kernel, pfn: number, by = 1): boolean {
  const hugetlb = k.pages.test(pfn, PG_HUGETLB);
  if (!k.pages.put(pfn, by)) return false;
  if (hugetlb) k.hugetlb.giveBack();
  return true;
}

/** folio_free_swap(): a folio leaves the swap cache, with the cache's reference, if no entry refers to its slot; true when it did. Inside a step. */
export function folioFreeSwap(k: Kernel, pfn: number): boolean {
  if (!k.pages.test(pfn, PG_SWAPCACHE)) return false;
  const slot = k.pages.private(pfn);
  if (k.swap.count(slot) > 0) return false;
  k.swap.setCached(slot, 0);
  k.swap.put(slot);
  k.pages.unmark(pfn, PG_SWAPCACHE);
  k.pages.setPrivate(pfn, 0);
  k.pages.put(pfn);
  return true;
}

/** free_swap_cache(): {@link folioFreeSwap} for a folio that nobody maps any more. Inside a step. */
export function freeSwapCache(k: Kernel, pfn: number): void {
  if (k.pages.test(pfn, PG_SWAPCACHE) && k.pages.totalMapcount(pfn) === 0) folioFreeSwap(k, pfn);
}
