import { isHugeZeroPmd } from "../huge/huge-zero.js";
import type { Kernel } from "../kernel.js";
import { since } from "../kernel-profile.js";
import { PG_ANON, PG_LOCKED, PG_LRU, PG_SWAPCACHE } from "../page.js";
import { PMD_LEVEL, PTE_LEVEL } from "../page-table.js";
import {
  isSwapPte,
  type Pte,
  PTE_UFFD_WP,
  pteHugeLeaf,
  pteNone,
  ptePfn,
  ptePresent,
  pteSpecial,
  pteTable,
  pteUffdWp,
  pteWrite,
  SWP_SWAP,
  swpType,
} from "../pte.js";
import { folioMapcount } from "../rmap/rmap.js";

/** enum scan_result, as far as callers tell its values apart. */
export const SCAN_SUCCEED = 0;
export const SCAN_PMD_MAPPED = 1;
/** Nothing to collapse here, or not now: others may still succeed. */
export const SCAN_FAIL = 2;
/** A page is held by somebody: -EAGAIN. */
export const SCAN_BUSY = 3;
/** No huge page: -ENOMEM. */
export const SCAN_ALLOC_HUGE_PAGE_FAIL = 4;
/** The VMA is not what it was: nothing more is tried. */
export const SCAN_VMA_CHECK = 5;
/** Entries must be read in from swap first. */
export const SCAN_SWAPPED = 6;
/** The cache has the huge page, but this table does not map it as one. */
export const SCAN_PTE_MAPPED_HUGEPAGE = 7;
/** A hole where userfaultfd may have to be asked: -EBUSY, and nothing more is tried. */
export const SCAN_EXCEED_NONE_PTE = 9;
/** A failure that is not in madvise_collapse()'s list of those after which it goes on: nothing more is tried. */
export const SCAN_STOP = 8;

/**
 * find_pmd_or_thp_or_none(): the state of the block. SCAN_STOP stands for SCAN_PMD_NONE, after which MADV_COLLAPSE does not go on.
 * Inside a step.
 */
export function pmdState(k: Kernel, mm: number, vpn: number): number {
  const pmdp = k.tables.find(k.mms.pgd(mm), PMD_LEVEL, vpn);
  const pmd = pmdp === 0 ? 0 : k.tables.get(pmdp);
  if (pteHugeLeaf(pmd)) return isHugeZeroPmd(k, pmd) && !since(k.profile, 6, 0) ? SCAN_FAIL : SCAN_PMD_MAPPED;
  if (pmdp !== 0 && pteNone(pmd)) return SCAN_STOP;
  return pteTable(pmd) ? SCAN_SUCCEED : SCAN_FAIL;
}

/** hpage_collapse_scan_pmd(): whether the 2^order pages from `base` may become one. Inside a step. */
export function scanPmd(k: Kernel, vma: number, base: number): number {
  const mm = k.vmas.mm(vma);
  const state = pmdState(k, mm, base);
  if (state !== SCAN_SUCCEED) return state;
  const armed = k.vmas.uffd(vma) !== 0;
  const first = k.tables.find(k.mms.pgd(mm), PTE_LEVEL, base);
  let writable = false;
  let swapped = false;
  for (let i = 0; i < k.tables.hugePages; i++) {
    const pte = k.tables.get(first + i);
    if (isSwapPte(pte)) {
      if (swpType(pte) !== SWP_SWAP || (pte & PTE_UFFD_WP) !== 0) return SCAN_FAIL;
      swapped = true;
      continue;
    }
    if (pteNone(pte) || pteSpecial(pte)) {
      if (armed) return SCAN_EXCEED_NONE_PTE;
      continue;
    }
    if (!ptePresent(pte) || pteUffdWp(pte)) return SCAN_FAIL;
    if (pteWrite(pte)) writable = true;
    const result = suitable(k, pte);
    if (result !== SCAN_SUCCEED) return result;
  }
  // A block without a single writable page was left alone before v6.18.
  if (!writable && !since(k.profile, 6, 18)) return SCAN_FAIL;
  return swapped ? SCAN_SWAPPED : SCAN_SUCCEED;
}

function suitable(k: Kernel, pte: Pte): number {
  const head = k.pages.head(ptePfn(pte));
  if (!k.pages.test(head, PG_ANON)) return SCAN_FAIL;
  if (k.pages.test(head, PG_LOCKED) || !k.pages.test(head, PG_LRU)) return SCAN_BUSY;
  const expected = folioMapcount(k, head) + (k.pages.test(head, PG_SWAPCACHE) ? k.pages.pages(head) : 0);
  return k.pages.refcount(head) === expected ? SCAN_SUCCEED : SCAN_BUSY;
}
