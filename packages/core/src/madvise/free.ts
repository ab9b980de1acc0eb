import { call, type Path, spinLock, spinUnlock, step } from "@mmu-notifier/steps";
import { EINVAL } from "../errno.js";
import { folioFreeSwap } from "../folio.js";
import { PAGE_SIZE } from "../geometry.js";
import { isHugeZeroPmd } from "../huge/huge-zero.js";
import { splitFolio } from "../huge/split-folio.js";
import type { Kernel } from "../kernel.js";
import { folioMapcount } from "../rmap/rmap.js";
import { since } from "../kernel-profile.js";
import {
  PG_ANON,
  PG_DIRTY,
  PG_LAZYFREE,
  PG_LOCKED,
  PG_REFERENCED,
  PG_SWAPBACKED,
  PG_SWAPCACHE,
  PG_ACTIVE,
} from "../page.js";
import { PMD_LEVEL, PTE_LEVEL, type Ptep } from "../page-table.js";
import {
  isSwapPte,
  pteHugeLeaf,
  pteMkold,
  pteNone,
  ptePfn,
  ptePresent,
  pteSpecial,
  pteTable,
  pteUffdWp,
  pteYoung,
  SWP_HWPOISON,
  SWP_MARKER_POISONED,
  SWP_SWAP,
  swpType,
} from "../pte.js";
import { type MmuGather, tlbGatherMmu } from "../tlb/mmu-gather.js";
import { flushAfterSplit, flushTlbBatchedPending } from "../tlb/unmap-batch.js";
import { contpteTryUnfold } from "../tlb/contpte.js";
import { pmdpInvalidate, ptepGetAndClear, setPteAt } from "../tlb/ptep.js";
import { freeNonPresent } from "../unmap/free-entry.js";
import { nextPopulatedBlock } from "../unmap/zap-range.js";

const NONE_LEFT = -1;
const CHANGE = 1;
const SPLIT = 2;
const KINDS = 4;
/** Above the entries of any table. */
const TABLE_MAX = 2 ** 16;

/** madvise_free_single_vma(): anonymous pages get clean, old and droppable; the write right stays. 0 or -errno. */
export function madviseFree(
  k: Kernel,
  cpu: number,
  vma: number,
  start: number,
  end: number,
  batch?: MmuGather,
): Path<number> {
  return call("madvise_free_single_vma", free(k, cpu, vma, start, end, batch));
}

function* free(
  k: Kernel,
  cpu: number,
  vma: number,
  start: number,
  end: number,
  batch: MmuGather | undefined,
): Path<number> {
  const anon = yield step("vma_is_anonymous", () => (k.vmas.file(vma) === 0 ? 1 : 0));
  if (anon === 0) return -EINVAL;
  const mm = yield step("vma->vm_mm", () => k.vmas.mm(vma));
  const range = { mm, start: start * PAGE_SIZE, end: end * PAGE_SIZE, event: "MMU_NOTIFY_CLEAR" } as const;
  const tlb = batch ?? (yield* tlbGatherMmu(k, cpu, mm));
  yield* k.bus.invalidateRangeStart(range);
  const span = k.tables.hugePages;
  for (let at = start; at < end;) {
    const from = at;
    at = yield step("pmd_none", () => nextPopulatedBlock(k, mm, from, end));
    if (at >= end) break;
    const next = Math.min(end, at - (at % span) + span);
    if (!(yield* freeHugePmd(k, cpu, tlb, at, next))) yield* freePteRange(k, cpu, tlb, at, next);
    at = next;
  }
  yield* tlb.endVma();
  yield* k.bus.invalidateRangeEnd(range);
  if (batch === undefined) yield* tlb.finish();
  return 0;
}

/** The folio may be freed lazily: nobody else maps it. Inside a step. */
function soleMapping(k: Kernel, pfn: number): boolean {
  const head = k.pages.head(pfn);
  let mapped = k.pages.entireMapcount(head);
  for (let i = 0; i < k.pages.pages(head); i++) mapped += k.pages.mapcount(head + i);
  return mapped === 1;
}

function markLazyfree(k: Kernel, pfn: number): void {
  if (!k.pages.test(pfn, PG_ANON) || !k.pages.test(pfn, PG_SWAPBACKED) || k.pages.test(pfn, PG_SWAPCACHE)) return;
  k.pages.unmark(pfn, PG_SWAPBACKED | PG_ACTIVE | PG_REFERENCED);
  k.pages.mark(pfn, PG_LAZYFREE);
}

/** madvise_free_huge_pmd(): true when the block is dealt with. A huge page of which only a part is freed is split. */
function* freeHugePmd(k: Kernel, cpu: number, tlb: MmuGather, start: number, end: number): Path<boolean> {
  const { mm } = tlb;
  const pmdp = yield step("pmd_offset", () => k.tables.find(k.mms.pgd(mm), PMD_LEVEL, start));
  const ptl = k.tables.ptl(k.tables.tableOf(pmdp));
  yield spinLock(ptl);
  const what = yield step("pmd_trans_huge", () => {
    const pmd = k.tables.get(pmdp);
    if (pteTable(pmd)) return NONE_LEFT;
    if (!pteHugeLeaf(pmd) || isHugeZeroPmd(k, pmd)) return 0;
    const pfn = ptePfn(pmd);
    if (!soleMapping(k, pfn) || k.pages.test(pfn, PG_LOCKED)) return 0;
    if (end - start !== k.tables.hugePages) {
      k.pages.get(pfn);
      return pfn * KINDS + SPLIT;
    }
    k.pages.unmark(pfn, PG_DIRTY);
    return pfn * KINDS + CHANGE;
  });
  const pfn = Math.floor(what / KINDS);
  if (what > 0 && what % KINDS === CHANGE) {
    const used = yield step("pmd_young || pmd_dirty", () =>
      pteYoung(k.tables.get(pmdp)) || k.pte.dirty(k.tables.get(pmdp)) ? 1 : 0,
    );
    if (used !== 0) {
      const before = yield* pmdpInvalidate(k, cpu, mm, start, pmdp);
      yield setPteAt(k, mm, start, pmdp, k.pte.mkclean(pteMkold(before)));
      tlb.removeEntry(start, k.tables.hugePages);
    }
    yield step("folio_mark_lazyfree", () => {
      markLazyfree(k, pfn);
      return 0;
    });
  }
  yield spinUnlock(ptl);
  if (what === NONE_LEFT) return false;
  if (what > 0 && what % KINDS === SPLIT) {
    yield* splitFolio(k, cpu, pfn);
    yield step("folio_put", () => {
      k.pages.put(pfn);
      return 0;
    });
    return (yield step("pmd_trans_huge", () => (pteTable(k.tables.get(pmdp)) ? 0 : 1))) !== 0;
  }
  return true;
}

/** madvise_free_pte_range(). */
function* freePteRange(k: Kernel, cpu: number, tlb: MmuGather, start: number, end: number): Path {
  const { mm } = tlb;
  const first = yield step("pte_offset_map_lock", () => k.tables.find(k.mms.pgd(mm), PTE_LEVEL, start));
  if (first === 0) return;
  const ptl = k.tables.ptl(k.tables.tableOf(first));
  yield spinLock(ptl);
  yield* flushTlbBatchedPending(k, cpu, mm);
  for (let at = start, whole = start; at < end;) {
    const from = at;
    const known = whole;
    const result = yield step("madvise_free_pte_range", () => nextFreed(k, first - start, start, from, end, known));
    if (result === NONE_LEFT) break;
    const vpn = from + (Math.floor(result / KINDS) % TABLE_MAX);
    const kind = result % KINDS;
    whole = vpn + Math.floor(result / (KINDS * TABLE_MAX));
    const ptep = first + (vpn - start);
    at = vpn + 1;
    if (kind === SPLIT) {
      const pfn = yield step("folio_get", () => {
        const page = k.pages.head(ptePfn(k.tables.get(ptep)));
        k.pages.get(page);
        return page;
      });
      yield spinUnlock(ptl);
      const failed = yield* splitFolio(k, cpu, pfn);
      yield step("folio_put", () => {
        k.pages.put(pfn);
        return 0;
      });
      yield spinLock(ptl);
      yield* flushAfterSplit(k, cpu, mm);
      if (failed === 0) at = vpn;
      else if (!since(k.profile, 6, 10)) break;
      continue;
    }
    if (kind === CHANGE) {
      yield* contpteTryUnfold(k, cpu, mm, vpn, ptep);
      const before = yield ptepGetAndClear(k, ptep);
      yield setPteAt(k, mm, vpn, ptep, k.pte.mkclean(pteMkold(before)));
      tlb.removeEntry(vpn);
    }
  }
  yield spinUnlock(ptl);
}

/**
 * The next page with something left to do outside the step; swap entries and page flags are dealt with on the way.
 *
 * @param known pages before it are known to be mapped in whole folios
 * @returns what to do + {@link KINDS} times (pages from `from` + {@link TABLE_MAX} times how far from there folios are known to be whole)
 */
function nextFreed(k: Kernel, base: Ptep, start: number, from: number, end: number, known: number): number {
  let whole = known;
  const found = (vpn: number, kind: number): number =>
    (Math.max(0, whole - vpn) * TABLE_MAX + (vpn - from)) * KINDS + kind;
  for (let vpn = from; vpn < end; vpn++) {
    const ptep = base + vpn;
    const pte = k.tables.get(ptep);
    if (pteNone(pte)) continue;
    if (isSwapPte(pte)) {
      const type = swpType(pte);
      if (type === SWP_SWAP || type === SWP_HWPOISON || type === SWP_MARKER_POISONED) {
        k.tables.set(ptep, 0);
        freeNonPresent(k, pte);
      }
      continue;
    }
    if (!ptePresent(pte) || pteSpecial(pte)) continue;
    const pfn = ptePfn(pte);
    if (vpn >= whole && k.pages.order(pfn) > 0) {
      if (since(k.profile, 6, 10) && wholeFolioMapped(k, base, vpn, start, end, pfn)) {
        // All of its pages are freed here: it is no smaller than what is given back.
        whole = vpn + k.pages.pages(pfn) - (pfn - k.pages.head(pfn));
      } else if (folioSplittable(k, pfn)) return found(vpn, SPLIT);
      else if (since(k.profile, 6, 10)) continue;
      // Up to v6.9 the walk ended here.
      else return NONE_LEFT;
    }
    if (k.pages.test(pfn, PG_SWAPCACHE) || k.pages.test(pfn, PG_DIRTY)) {
      // Others map it too: a folio that is mapped whole has as many mappings as pages.
      if (k.pages.test(pfn, PG_LOCKED) || folioMapcount(k, k.pages.head(pfn)) !== k.pages.pages(pfn)) continue;
      if (k.pages.test(pfn, PG_SWAPCACHE) && !folioFreeSwap(k, pfn)) continue;
      k.pages.unmark(pfn, PG_DIRTY);
    }
    markLazyfree(k, pfn);
    if (pteYoung(pte) || k.pte.dirty(pte)) return found(vpn, CHANGE);
  }
  return NONE_LEFT;
}

function folioSplittable(k: Kernel, pfn: number): boolean {
  const head = k.pages.head(pfn);
  let shared = false;
  for (let i = 0; i < k.pages.pages(head); i++) if (k.pages.totalMapcount(head + i) > 1) shared = true;
  return !shared && !k.pages.test(head, PG_LOCKED);
}

/** The entries from the folio's first page on map all of it, inside the range. */
function wholeFolioMapped(k: Kernel, base: Ptep, vpn: number, start: number, end: number, pfn: number): boolean {
  const head = k.pages.head(pfn);
  const pages = k.pages.pages(head);
  const first = vpn - (pfn - head);
  if (first + pages > end || first < start) return false;
  for (let i = 0; i < pages; i++) {
    const pte = k.tables.get(base + first + i);
    if (!ptePresent(pte) || ptePfn(pte) !== head + i || pteUffdWp(pte) !== pteUffdWp(k.tables.get(base + vpn)))
      return false;
  }
  return true;
}
