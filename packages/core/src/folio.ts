import { deleteFromSwapCache, folioSwapped } from "./folio-swap.js";
import type { Kernel } from "./kernel.js";
import { PG_DIRTY, PG_HUGETLB, PG_SWAPCACHE } from "./page.js";

/** folio_put(): drops references; the last one frees the folio, a hugetlb one into its pool. True when it went. Inside a step. */
export function folioPut(k: Kernel, pfn: number, by = 1, late = false): boolean {
  const hugetlb = k.pages.test(pfn, PG_HUGETLB);
  if (!k.pages.put(pfn, by, late)) return false;
  if (hugetlb) k.hugetlb.giveBack();
  return true;
}

/**
 * folio_free_swap(): a folio leaves the swap cache, with the cache's reference, if no entry refers to its slot; its contents are
 * nowhere else then. True when it did. Inside a step.
 */
export function folioFreeSwap(k: Kernel, pfn: number): boolean {
  const head = k.pages.head(pfn);
  if (!k.pages.test(head, PG_SWAPCACHE) || folioSwapped(k, head)) return false;
  deleteFromSwapCache(k, head);
  k.pages.mark(head, PG_DIRTY);
  return true;
}

/** free_swap_cache(): {@link folioFreeSwap} for a folio that nobody maps any more. Inside a step. */
export function freeSwapCache(k: Kernel, pfn: number): void {
  if (k.pages.test(pfn, PG_SWAPCACHE) && !folioMapped(k, pfn)) folioFreeSwap(k, pfn);
}

/** free_swap_and_cache(): one user of a slot goes, and with the last the page that the swap cache keeps of it. Inside a step. */
export function freeSwapAndCache(k: Kernel, slot: number): void {
  const cached = k.swap.cached(slot);
  k.swap.put(slot);
  if (cached !== 0) freeSwapCache(k, cached);
}

/** folio_mapped(). Inside a step. */
function folioMapped(k: Kernel, pfn: number): boolean {
  const head = k.pages.head(pfn);
  const end = head + k.pages.pages(head);
  for (let page = head; page < end; page++) if (k.pages.totalMapcount(page) > 0) return true;
  return false;
}
