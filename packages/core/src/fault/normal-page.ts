import { type Pte, pteHugeLeaf, ptePfn, ptePresent, pteSpecial } from "../pte.js";

/** vm_normal_page(): the frame with a struct page that a present entry maps, or 0 for special entries. Pure. */
export function vmNormalPage(pte: Pte): number {
  return ptePresent(pte) && !pteSpecial(pte) ? ptePfn(pte) : 0;
}

/** The frame that translates page `vpn` under leaf entry `pte` whose level maps `span` pages. Pure. */
export function leafPfn(pte: Pte, vpn: number, span: number): number {
  return pteHugeLeaf(pte) ? ptePfn(pte) + (vpn % span) : ptePfn(pte);
}
