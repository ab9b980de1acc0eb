import type { Kernel } from "../kernel.js";
import { PG_ANON } from "../page.js";
import { type Pte, pteHugeLeaf, ptePfn, ptePresent, pteSpecial } from "../pte.js";

/** vm_normal_page(): the frame with a struct page that a present entry maps, or 0 for special entries. Pure. */
export function vmNormalPage(pte: Pte): number {
  return ptePresent(pte) && !pteSpecial(pte) ? ptePfn(pte) : 0;
}

/** The head of the huge zero folio, or 0 while nobody has needed it; inside a step. */
export function hugeZeroPfn(k: Kernel): number {
  return k.pages.private(k.pages.zeroPfn);
}

/** The frame that translates page `vpn` under leaf entry `pte` whose level maps `span` pages. Pure. */
export function leafPfn(pte: Pte, vpn: number, span: number): number {
  return pteHugeLeaf(pte) ? ptePfn(pte) + (vpn % span) : ptePfn(pte);
}

/** folio_test_anon() of a frame that may be 0; inside a step. */
export function isAnonPage(k: Kernel, pfn: number): boolean {
  return pfn !== 0 && k.pages.test(pfn, PG_ANON);
}
