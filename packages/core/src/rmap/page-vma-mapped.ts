import type { Kernel } from "../kernel.js";
import { PMD_LEVEL, PTE_LEVEL } from "../page-table.js";
import {
  isMigrationEntry,
  isPteMarker,
  isSwapPte,
  type Pte,
  pteHugeLeaf,
  pteNone,
  ptePfn,
  ptePresent,
  pteSpecial,
  pteTable,
  SWP_HWPOISON,
  SWP_SWAP,
  swpOffset,
  swpType,
} from "../pte.js";

/** Nothing in the range maps the folio. */
export const NOT_MAPPED = -1;
/** Added to a page when a huge entry maps the folio there. */
export const MAPPED_HUGE = 2 ** 40;

/** The frame that a present entry or a device entry maps, or that a migration entry waits for; 0 for none. */
function frameOf(pte: Pte, migration: boolean): number {
  if (ptePresent(pte)) return migration || pteSpecial(pte) ? 0 : ptePfn(pte);
  if (!isSwapPte(pte) || isPteMarker(pte) || isMigrationEntry(pte) !== migration) return 0;
  return swpType(pte) === SWP_SWAP || swpType(pte) === SWP_HWPOISON ? 0 : swpOffset(pte);
}

/**
 * page_vma_mapped_walk(): the first page of [from, end) at which `mm` maps a frame of the folio, or {@link NOT_MAPPED}.
 *
 * @param migration true looks for migration entries only, false for present and device entries
 */
export function mappedAt(k: Kernel, mm: number, head: number, from: number, end: number, migration: boolean): number {
  const last = head + k.pages.pages(head);
  const pgd = k.mms.pgd(mm);
  const span = k.tables.hugePages;
  for (let vpn = from; vpn < end; vpn++) {
    const pmdp = k.tables.find(pgd, PMD_LEVEL, vpn);
    const pmd = pmdp === 0 ? 0 : k.tables.get(pmdp);
    if (pteNone(pmd)) {
      vpn += span - 1 - (vpn % span);
      continue;
    }
    if (!pteTable(pmd)) {
      const frame = frameOf(pmd, migration);
      if (frame === head && (pteHugeLeaf(pmd) || !ptePresent(pmd))) return MAPPED_HUGE + vpn;
      vpn += span - 1 - (vpn % span);
      continue;
    }
    const frame = frameOf(k.tables.get(k.tables.find(pgd, PTE_LEVEL, vpn)), migration);
    if (frame >= head && frame < last) return vpn;
  }
  return NOT_MAPPED;
}
