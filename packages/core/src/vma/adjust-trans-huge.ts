import { type Path, step } from "@mmu-notifier/steps";
import { splitHugePmd } from "../huge/split-huge-pmd.js";
import type { Kernel } from "../kernel.js";
import { PMD_LEVEL } from "../page-table.js";

/**
 * split_huge_pmd_if_needed(): a border of `vma` is about to lie at page `vpn`. If that is inside a huge page's block that the VMA
 * covers, the block is split, with a notification even where nothing huge is mapped: the kernel only looks whether there is a
 * table of that level.
 */
export function* splitHugePmdIfNeeded(k: Kernel, cpu: number, vma: number, vpn: number): Path {
  const span = k.tables.hugePages;
  const block = vpn - (vpn % span);
  if (block === vpn) return;
  const needed = yield step("split_huge_pmd_if_needed", () => {
    const inside = k.vmas.start(vma) <= block && block + span <= k.vmas.end(vma);
    return inside && k.tables.find(k.mms.pgd(k.vmas.mm(vma)), PMD_LEVEL, vpn) !== 0 ? 1 : 0;
  });
  if (needed !== 0) yield* splitHugePmd(k, cpu, vma, block);
}
