import { mightSleep, type Path, step } from "@mmu-notifier/steps";
import { readPage } from "../fault/page-cache.js";
import { INODE_DISK } from "../file.js";
import { readSwapCache } from "../folio-swap.js";
import type { Kernel } from "../kernel.js";
import { PTE_LEVEL } from "../page-table.js";
import { isSwapPte, SWP_SWAP, swpOffset, swpType } from "../pte.js";

/** madvise_willneed(): reads file pages, or swapped-out anonymous ones, into their cache. Maps nothing. Always 0. */
export function* madviseWillneed(k: Kernel, vma: number, start: number, end: number): Path<number> {
  yield mightSleep("madvise_willneed");
  yield step("force_page_cache_readahead", () => {
    const file = k.vmas.file(vma);
    if (file === 0) {
      const pgd = k.mms.pgd(k.vmas.mm(vma));
      for (let vpn = start; vpn < end; vpn++) swapIn(k, pgd, vpn);
      return 0;
    }
    const inode = k.files.inode(file);
    if (k.files.kind(inode) !== INODE_DISK) return 0;
    for (let vpn = start; vpn < end; vpn++) readPage(k, inode, k.vmas.linearIndex(vma, vpn));
    return 0;
  });
  return 0;
}

/** read_swap_cache_async() of what a swap entry refers to. */
function swapIn(k: Kernel, pgd: number, vpn: number): void {
  const ptep = k.tables.find(pgd, PTE_LEVEL, vpn);
  const pte = ptep === 0 ? 0 : k.tables.get(ptep);
  if (!isSwapPte(pte) || swpType(pte) !== SWP_SWAP) return;
  readSwapCache(k, swpOffset(pte));
}
