import { call, type Path, step } from "@mmu-notifier/steps";
import { lockPtl, unlockPtl } from "../fault/pte-map.js";
import type { Kernel } from "../kernel.js";
import { PMD_LEVEL, PTE_LEVEL } from "../page-table.js";
import { ptepClearFlushYoungNotify } from "../tlb/ptep.js";
import { MAPPED_HUGE, mappedAt, NOT_MAPPED } from "./page-vma-mapped.js";
import { type RmapTarget, rmapWalk } from "./rmap-walk.js";

/** folio_referenced(): how many entries that map the folio saw an access since the last look, secondary MMUs included; makes them old. */
export function folioReferenced(k: Kernel, cpu: number, head: number): Path<number> {
  return call("folio_referenced", referenced(k, cpu, head));
}

function* referenced(k: Kernel, cpu: number, head: number): Path<number> {
  const sum = { young: 0 };
  yield* rmapWalk(k, head, (target) => referencedOne(k, cpu, head, target, sum));
  return sum.young;
}

/** folio_referenced_one(): one VMA of the walk, which always goes on. Adds the entries that were young to `sum`. */
function* referencedOne(
  k: Kernel,
  cpu: number,
  head: number,
  { mm, start, end }: RmapTarget,
  sum: { young: number },
): Path<boolean> {
  for (let at = start; at < end;) {
    const from = at;
    const found = yield step("page_vma_mapped_walk", () => mappedAt(k, mm, head, from, end, false));
    if (found === NOT_MAPPED) break;
    const huge = found >= MAPPED_HUGE;
    const vpn = huge ? found - MAPPED_HUGE : found;
    const pages = huge ? k.tables.hugePages : 1;
    const ptep = yield step("pte_offset_map", () => k.tables.find(k.mms.pgd(mm), huge ? PMD_LEVEL : PTE_LEVEL, vpn));
    yield lockPtl(k, ptep);
    sum.young += yield* ptepClearFlushYoungNotify(k, cpu, mm, vpn, ptep, pages);
    yield unlockPtl(k, ptep);
    at = vpn + pages;
  }
  return true;
}
