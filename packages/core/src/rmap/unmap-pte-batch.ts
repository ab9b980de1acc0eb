import { type Path, step } from "@mmu-notifier/steps";
import { folioPut } from "../folio.js";
import type { Kernel } from "../kernel.js";
import { since } from "../kernel-profile.js";
import { PG_ANON, PG_DIRTY, PG_LAZYFREE, PG_SWAPBACKED } from "../page.js";
import type { Ptep } from "../page-table.js";
import { type Pte, pteMkyoung, ptePfn, ptePresent, pteUffdWp, pteYoung } from "../pte.js";
import { contpteTryUnfold } from "../tlb/contpte.js";
import { flushTlbRange } from "../tlb/flush.js";
import { notifyUnderPtl, ptepGetAndClear, setPteAt } from "../tlb/ptep.js";
import { setTlbUbcFlushPending, shouldDeferFlush, type TlbUnmapBatch } from "../tlb/unmap-batch.js";
import { folioMapcount, folioRemoveRmap } from "./rmap.js";

/**
 * folio_unmap_pte_batch(): how many entries from `ptep` on go at once: the pages of a large folio after MADV_FREE that lie behind
 * one another in [vpn, end) of one page table, since v6.15; else 1. Inside a step.
 */
export function folioUnmapPteBatch(k: Kernel, ptep: Ptep, vpn: number, end: number): number {
  const first = k.tables.get(ptep);
  const pfn = ptePfn(first);
  const head = k.pages.head(pfn);
  if (!since(k.profile, 6, 15) || !k.pages.test(head, PG_ANON) || k.pages.test(head, PG_SWAPBACKED)) return 1;
  const span = k.tables.hugePages;
  const most = Math.min(end - vpn, span - (vpn % span), head + k.pages.pages(head) - pfn);
  let pages = 1;
  while (pages < most && follows(k.tables.get(ptep + pages), first, pfn + pages)) pages++;
  return pages;
}

const follows = (pte: Pte, first: Pte, pfn: number): boolean =>
  ptePresent(pte) && ptePfn(pte) === pfn && pteUffdWp(pte) === pteUffdWp(first);

/**
 * The entries of a batch are taken away with one flush, and put back when the folio was written to or somebody else holds it. The
 * PTL is held.
 *
 * @returns true if they are gone
 */
export function* discardPteBatch(
  k: Kernel,
  cpu: number,
  mm: number,
  vpn: number,
  ptep: Ptep,
  pages: number,
  batch: TlbUnmapBatch | undefined,
): Path<boolean> {
  const entries: Pte[] = [];
  for (let i = 0; i < pages; i++) {
    yield* contpteTryUnfold(k, cpu, mm, vpn + i, ptep + i);
    entries.push(yield ptepGetAndClear(k, ptep + i));
  }
  const [first] = entries as [Pte];
  if (batch !== undefined && (yield* shouldDeferFlush(k, cpu, mm)))
    yield* setTlbUbcFlushPending(k, cpu, mm, batch, first, vpn, pages);
  else yield* flushTlbRange(k, cpu, mm, vpn, vpn + pages);
  const gone = yield step("MADV_FREE page check", () => (mayGo(k, entries) ? 1 : 0));
  if (gone === 0) {
    for (let i = 0; i < pages; i++) yield setPteAt(k, mm, vpn + i, ptep + i, restored(k, entries, i));
    return false;
  }
  for (let i = 0; i < pages; i++) yield* notifyUnderPtl(k, mm, vpn + i, 1);
  yield step("folio_remove_rmap_ptes", () => {
    for (const pte of entries) {
      folioRemoveRmap(k, ptePfn(pte));
      folioPut(k, ptePfn(pte));
    }
    return 0;
  });
  return true;
}

/** Nobody wrote, and the only references are the mappings and the isolation. Inside a step. */
function mayGo(k: Kernel, entries: readonly Pte[]): boolean {
  const head = k.pages.head(ptePfn(entries[0]!));
  if (entries.some((pte) => k.pte.dirty(pte))) k.pages.mark(head, PG_DIRTY);
  if (!k.pages.test(head, PG_DIRTY) && k.pages.refcount(head) === 1 + folioMapcount(k, head)) return true;
  k.pages.mark(head, PG_SWAPBACKED);
  k.pages.unmark(head, PG_LAZYFREE);
  return false;
}

/** set_ptes() puts the first entry back everywhere, with the dirty and young bits of all. */
function restored(k: Kernel, entries: readonly Pte[], index: number): Pte {
  let pte = entries[index]!;
  if (entries.some((other) => k.pte.dirty(other))) pte = k.pte.mkdirty(pte);
  if (entries.some((other) => pteYoung(other))) pte = pteMkyoung(pte);
  return pte;
}
