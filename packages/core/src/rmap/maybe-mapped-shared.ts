import type { Kernel } from "../kernel.js";
import { since } from "../kernel-profile.js";
import { mappedAt, NOT_MAPPED } from "./page-vma-mapped.js";
import { folioVmaEnd, folioVmaStart, nextRmapVma } from "./rmap-walk.js";
import { folioMapcount } from "./rmap.js";

/**
 * folio_maybe_mapped_shared(): a single page that is mapped more than once; a large folio that more than one mm maps, however often,
 * since v6.15, or of which a page is mapped more than once (folio_likely_mapped_shared(), from v6.9 on). Inside a step.
 */
export function folioMaybeMappedShared(k: Kernel, head: number): boolean {
  if (folioMapcount(k, head) <= 1) return false;
  if (k.pages.order(head) === 0) return true;
  if (since(k.profile, 6, 15)) return severalMms(k, head);
  if (k.pages.entireMapcount(head) > 0) return true;
  const end = head + k.pages.pages(head);
  for (let pfn = head; pfn < end; pfn++) if (k.pages.mapcount(pfn) > 1) return true;
  return false;
}

/** The kernel keeps two mms and their counts in the folio; here the entries themselves are asked. */
function severalMms(k: Kernel, head: number): boolean {
  let first = 0;
  for (let vma = nextRmapVma(k, head, 0); vma !== 0; vma = nextRmapVma(k, head, vma)) {
    const mm = k.vmas.mm(vma);
    if (mm === first) continue;
    if (mappedAt(k, mm, head, folioVmaStart(k, vma, head), folioVmaEnd(k, vma, head), false) === NOT_MAPPED) continue;
    if (first !== 0) return true;
    first = mm;
  }
  return false;
}
