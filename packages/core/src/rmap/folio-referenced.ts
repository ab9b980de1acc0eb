import { call, type Path, step } from "@mmu-notifier/steps";
import { lockPtl, unlockPtl } from "../fault/pte-map.js";
import type { Kernel } from "../kernel.js";
import { PMD_LEVEL, PTE_LEVEL } from "../page-table.js";
import { ptepClearFlushYoungNotify } from "../tlb/ptep.js";
import { MAPPED_HUGE, mappedAt, NOT_MAPPED } from "./page-vma-mapped.js";
import { rmapWalk } from "./rmap-walk.js";

/** folio_referenced(): how many entries that map the folio saw an access since the last look, secondary MMUs included; makes them old. */
export function folioReferenced(k: Kernel, cpu: number, head: number): Path<number> {
  return call("folio_referenced", referenced(k, cpu, head));
}

function* referenced(k: Kernel, cpu: number, head: number): Path<number> {
  let count = 0;
  yield* rmapWalk(k, head, function* ({ mm, start, end }) {
    for (let at = start; at < end;) {
      const from = at;
      const found = yield step("page_vma_mapped_walk", () => mappedAt(k, mm, head, from, end, false));
      if (found === NOT_MAPPED) break;
      const huge = found >= MAPPED_HUGE;
      const vpn = huge ? found - MAPPED_HUGE : found;
      const pages = huge ? k.tables.hugePages : 1;
      const ptep = yield step("pte_offset_map", () => k.tables.find(k.mms.pgd(mm), huge ? PMD_LEVEL : PTE_LEVEL, vpn));
      yield lockPtl(k, ptep);
      count += yield* ptepClearFlushYoungNotify(k, cpu, mm, vpn, ptep, pages);
      yield unlockPtl(k, ptep);
      at = vpn + pages;
    }
    return true;
  });
  return count;
}
