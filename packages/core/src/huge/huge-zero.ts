import type { Kernel } from "../kernel.js";
import { PG_RESERVED, PG_UPTODATE } from "../page.js";
import { type Pte, ptePfn } from "../pte.js";

/** log2 of the base pages of a huge page. */
export function hugeOrder(k: Kernel): number {
  return k.tables.geometry.bits[0]!;
}

/** First page of the huge block around `vpn`. */
export function hugeBase(k: Kernel, vpn: number): number {
  return vpn - (vpn % k.tables.hugePages);
}

/** mm_get_huge_zero_folio(): the one huge zero folio, allocated on first use and kept. Inside a step. */
export function getHugeZeroPfn(k: Kernel): number {
  const { zeroPfn } = k.pages;
  const found = k.pages.private(zeroPfn);
  if (found !== 0) return found;
  const pfn = k.pages.alloc(hugeOrder(k), PG_RESERVED | PG_UPTODATE);
  k.pages.setPrivate(zeroPfn, pfn);
  return pfn;
}

/** is_huge_zero_pmd(). Inside a step. */
export function isHugeZeroPmd(k: Kernel, pmd: Pte): boolean {
  const pfn = k.pages.private(k.pages.zeroPfn);
  return pfn !== 0 && ptePfn(pmd) === pfn;
}
