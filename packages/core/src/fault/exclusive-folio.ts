import type { Kernel } from "../kernel.js";
import { PMD_LEVEL, PTE_LEVEL } from "../page-table.js";
import { pteHugeLeaf, ptePfn, ptePresent } from "../pte.js";

/** folio_large_mapcount(): mappings of the folio, a huge entry counting once. Inside a step. */
function folioMapcount(k: Kernel, pfn: number): number {
  const head = k.pages.head(pfn);
  const end = head + k.pages.pages(head);
  let count = k.pages.entireMapcount(head);
  for (let page = head; page < end; page++) count += k.pages.mapcount(page);
  return count;
}

/**
 * __wp_can_reuse_large_anon_folio(): every reference of a large folio is a mapping, and every mapping is one of `mm`'s. The
 * kernel keeps per-mm counters in the folio; here the mm's own entries are counted. Inside a step.
 */
export function anonFolioMappedOnlyBy(k: Kernel, mm: number, pfn: number): boolean {
  const mapped = folioMapcount(k, pfn);
  // A large folio of which one page is left is given up instead.
  if (mapped <= 1) return false;
  return k.pages.refcount(pfn) === mapped && mappingsOf(k, mm, k.pages.head(pfn)) === mapped;
}

/** Entries of `mm` that map frames of the folio of `head`. */
function mappingsOf(k: Kernel, mm: number, head: number): number {
  const end = head + k.pages.pages(head);
  const list = k.mms.vmaList(mm);
  const pgd = k.mms.pgd(mm);
  const anonVma = k.pages.mapping(head);
  let count = 0;
  for (let i = 0; i < k.vmas.count(list); i++) {
    const vma = k.vmas.at(list, i);
    if (!k.anonVmas.covers(anonVma, k.vmas.anonVma(vma))) continue;
    const first = k.vmas.start(vma) + (k.pages.index(head) - k.vmas.pgoff(vma));
    const from = Math.max(first, k.vmas.start(vma));
    const to = Math.min(first + (end - head), k.vmas.end(vma));
    for (let vpn = from; vpn < to; vpn++) {
      const pmdp = k.tables.find(pgd, PMD_LEVEL, vpn);
      const pmd = pmdp === 0 ? 0 : k.tables.get(pmdp);
      if (pteHugeLeaf(pmd)) {
        if (ptePfn(pmd) === head) count++;
        vpn += k.tables.hugePages - 1 - (vpn % k.tables.hugePages);
        continue;
      }
      const ptep = k.tables.find(pgd, PTE_LEVEL, vpn);
      const pte = ptep === 0 ? 0 : k.tables.get(ptep);
      if (ptePresent(pte) && ptePfn(pte) >= head && ptePfn(pte) < end) count++;
    }
  }
  return count;
}
