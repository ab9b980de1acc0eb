import type { Kernel } from "../kernel.js";
import { PG_ANON, PG_LRU, PG_SWAPBACKED } from "../page.js";

/**
 * Reverse-mapping bookkeeping, as mm/rmap.c keeps it. All functions are parts of steps: they touch memory at once and yield nothing.
 */

/** folio_add_new_anon_rmap(): a fresh anonymous folio that only the entries of `vma` from `vpn` on map, one for each of its pages. */
export function folioAddNewAnonRmap(k: Kernel, pfn: number, vma: number, vpn: number): void {
  k.pages.mark(pfn, PG_ANON | PG_SWAPBACKED | PG_LRU);
  k.pages.setMapping(pfn, k.vmas.anonVma(vma));
  k.pages.setIndex(pfn, k.vmas.linearIndex(vma, vpn));
  const end = pfn + k.pages.pages(pfn);
  for (let page = pfn; page < end; page++) {
    k.pages.setAnonExclusive(page, true);
    k.pages.addMapcount(page, 1);
  }
}

/** folio_add_anon_rmap_pte(): one more entry maps an anonymous page; `exclusive` sets PageAnonExclusive. */
export function folioAddAnonRmap(k: Kernel, pfn: number, vma: number, vpn: number, exclusive: boolean): void {
  if (!k.pages.test(pfn, PG_ANON)) {
    k.pages.mark(pfn, PG_ANON | PG_SWAPBACKED | PG_LRU);
    k.pages.setMapping(pfn, k.vmas.anonVma(vma));
    k.pages.setIndex(k.pages.head(pfn), k.vmas.linearIndex(vma, vpn) - (pfn - k.pages.head(pfn)));
  }
  if (exclusive) k.pages.setAnonExclusive(pfn, true);
  k.pages.addMapcount(pfn, 1);
}

/** folio_dup_anon_rmap / folio_add_file_rmap_pte(): one more single entry maps the page. */
export function folioAddRmap(k: Kernel, pfn: number): void {
  k.pages.addMapcount(pfn, 1);
}

/** folio_add_file_rmap_pmd(), hugetlb_add_*: one more upper-level entry maps the whole folio. */
export function folioAddRmapEntire(k: Kernel, pfn: number): void {
  k.pages.addEntireMapcount(pfn, 1);
}

/** folio_remove_rmap_pte(). AnonExclusive stays with the page until it is freed or shared. */
export function folioRemoveRmap(k: Kernel, pfn: number): void {
  k.pages.addMapcount(pfn, -1);
}

/** folio_remove_rmap_pmd(). */
export function folioRemoveRmapEntire(k: Kernel, pfn: number): void {
  k.pages.addEntireMapcount(pfn, -1);
}

/** folio_mapcount(): entries that map any page of the folio. */
export function folioMapcount(k: Kernel, head: number): number {
  let count = k.pages.entireMapcount(head);
  const pages = k.pages.pages(head);
  for (let pfn = head; pfn < head + pages; pfn++) count += k.pages.mapcount(pfn);
  return count;
}
