import { call, type Path, step } from "@mmu-notifier/steps";
import { lockPtl, unlockPtl } from "../fault/pte-map.js";
import { PAGE_SIZE } from "../geometry.js";
import type { Kernel } from "../kernel.js";
import { PMD_LEVEL, PTE_LEVEL, type Ptep } from "../page-table.js";
import { pteWrite } from "../pte.js";
import { contpteTryFold } from "../tlb/contpte.js";
import { pmdpInvalidate, ptepClearFlush, setPteAt } from "../tlb/ptep.js";
import { VM_SHARED } from "../vma.js";
import { MAPPED_HUGE, mappedAt, NOT_MAPPED } from "./page-vma-mapped.js";
import { type RmapTarget, rmapWalk } from "./rmap-walk.js";

/**
 * folio_mkclean(): makes every shared mapping of a locked folio read-only and clean, so that the next write to it faults and the
 * file system hears of it. Each VMA that may map the folio is announced, whether it does or not.
 *
 * @returns entries that changed
 */
export function folioMkclean(k: Kernel, cpu: number, head: number): Path<number> {
  return call("folio_mkclean", mkclean(k, cpu, head));
}

function* mkclean(k: Kernel, cpu: number, head: number): Path<number> {
  const mapped = yield step("folio_mapped", () => (isMapped(k, head) ? 1 : 0));
  if (mapped === 0) return 0;
  const found = { cleaned: 0 };
  yield* rmapWalk(k, head, (target) => mkcleanVma(k, cpu, head, target, found));
  return found.cleaned;
}

/** One VMA of the walk, which always goes on. Adds the entries that changed to `found`. */
function* mkcleanVma(
  k: Kernel,
  cpu: number,
  head: number,
  { vma, mm, start, end }: RmapTarget,
  found: { cleaned: number },
): Path<boolean> {
  const shared = yield step("invalid_mkclean_vma", () => (k.vmas.has(vma, VM_SHARED) ? 1 : 0));
  if (shared === 0) return true;
  const next = (from: number): number => mappedAt(k, mm, head, from, end, false);
  found.cleaned += yield* pageVmaMkcleanOne(k, cpu, { mm, start, end, next });
  return true;
}

function isMapped(k: Kernel, head: number): boolean {
  const pages = k.pages.pages(head);
  for (let pfn = head; pfn < head + pages; pfn++) if (k.pages.totalMapcount(pfn) > 0) return true;
  return false;
}

/** Where one VMA may map what is cleaned. */
export interface CleanTarget {
  readonly mm: number;
  readonly start: number;
  readonly end: number;
  /** The first page from `from` on that is mapped, as {@link mappedAt} gives it. Called inside a step. */
  readonly next: (from: number) => number;
}

/** page_vma_mkclean_one(): one VMA's entries, in one range. Returns entries that changed. */
export function* pageVmaMkcleanOne(
  k: Kernel,
  cpu: number,
  { mm, start, end, next }: CleanTarget,
  event: "MMU_NOTIFY_PROTECTION_PAGE" | "MMU_NOTIFY_CLEAR" = "MMU_NOTIFY_PROTECTION_PAGE",
): Path<number> {
  const range = { mm, start: start * PAGE_SIZE, end: end * PAGE_SIZE, event } as const;
  yield* k.bus.invalidateRangeStart(range);
  let cleaned = 0;
  for (let at = start; at < end;) {
    const from = at;
    const found = yield step("page_vma_mapped_walk", () => next(from));
    if (found === NOT_MAPPED) break;
    const huge = found >= MAPPED_HUGE;
    const vpn = huge ? found - MAPPED_HUGE : found;
    const ptep = yield step("pte_offset_map", () => k.tables.find(k.mms.pgd(mm), huge ? PMD_LEVEL : PTE_LEVEL, vpn));
    yield lockPtl(k, ptep);
    const needed = yield step("pte_dirty || pte_write", () =>
      next(vpn) === found && isDirtyOrWritable(k, ptep) ? 1 : 0,
    );
    if (needed !== 0) {
      const before = huge ? yield* pmdpInvalidate(k, cpu, mm, vpn, ptep) : yield* ptepClearFlush(k, cpu, mm, vpn, ptep);
      yield setPteAt(k, mm, vpn, ptep, k.pte.mkclean(k.pte.wrprotect(before)));
      if (!huge) yield* contpteTryFold(k, cpu, mm, vpn, ptep);
      cleaned++;
    }
    yield unlockPtl(k, ptep);
    at = vpn + (huge ? k.tables.hugePages : 1);
  }
  yield* k.bus.invalidateRangeEnd(range);
  return cleaned;
}

function isDirtyOrWritable(k: Kernel, ptep: Ptep): boolean {
  const pte = k.tables.get(ptep);
  return k.pte.dirty(pte) || pteWrite(pte);
}
