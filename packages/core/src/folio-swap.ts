import type { Kernel } from "./kernel.js";
import { PG_DIRTY, PG_SWAPBACKED, PG_SWAPCACHE, PG_UPTODATE } from "./page.js";

/**
 * page_swap_entry(): the slot of a page whose folio is in the swap cache. A large folio has consecutive slots; its head keeps its
 * order where a single page keeps its slot, so the second page says where they begin. Inside a step.
 */
export function pageSlot(k: Kernel, pfn: number): number {
  const head = k.pages.head(pfn);
  return k.pages.order(head) === 0 ? k.pages.private(pfn) : k.pages.private(head + 1) - 1 + (pfn - head);
}

/** folio->swap: the slots of the folio's pages begin at `slot`; 0 for none. Inside a step. */
export function setFolioSlot(k: Kernel, head: number, slot: number): void {
  if (k.pages.order(head) === 0) k.pages.setPrivate(head, slot);
  else k.pages.setPrivate(head + 1, slot === 0 ? 0 : slot + 1);
}

/** swap_cache_add_folio(): the folio is in the swap cache under `slot` and those that follow, which refer to it. Inside a step. */
export function addToSwapCache(k: Kernel, head: number, slot: number): void {
  const pages = k.pages.pages(head);
  for (let i = 0; i < pages; i++) k.swap.setCached(slot + i, head + i);
  setFolioSlot(k, head, slot);
  k.pages.mark(head, PG_SWAPCACHE | PG_DIRTY);
  k.pages.get(head, pages);
}

/** read_swap_cache_async(): the page of `slot`, from the swap cache or read into it, which keeps a reference. Inside a step. */
export function readSwapCache(k: Kernel, slot: number): number {
  const cached = k.swap.cached(slot);
  if (cached !== 0) return cached;
  const pfn = k.pages.alloc(0, PG_SWAPCACHE | PG_SWAPBACKED | PG_UPTODATE);
  k.pages.setContent(pfn, k.swap.content(slot));
  k.pages.setPrivate(pfn, slot);
  k.swap.setCached(slot, pfn);
  return pfn;
}

/** swap_cache_del_folio(): it leaves the swap cache, with the cache's references; slots that nobody refers to are free. Inside a step. */
export function deleteFromSwapCache(k: Kernel, head: number): void {
  const pages = k.pages.pages(head);
  const slot = pageSlot(k, head);
  for (let i = 0; i < pages; i++) {
    k.swap.setCached(slot + i, 0);
    if (k.swap.count(slot + i) === 0) k.swap.put(slot + i);
  }
  k.pages.unmark(head, PG_SWAPCACHE);
  setFolioSlot(k, head, 0);
  k.pages.put(head, pages);
}

/** folio_swapped(): an entry refers to a slot of the folio. Inside a step. */
export function folioSwapped(k: Kernel, head: number): boolean {
  const pages = k.pages.pages(head);
  const slot = pageSlot(k, head);
  for (let i = 0; i < pages; i++) if (k.swap.count(slot + i) > 0) return true;
  return false;
}
