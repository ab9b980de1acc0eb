import { type Path, step } from "@mmu-notifier/steps";
import { EINVAL } from "../errno.js";
import { lockPtl, unlockPtl } from "../fault/pte-map.js";
import { isHugeZeroPmd } from "../huge/huge-zero.js";
import { splitFolio } from "../huge/split-folio.js";
import type { Kernel } from "../kernel.js";
import { since } from "../kernel-profile.js";
import { folioIsolateLru, putback } from "../migrate/migrate-pages.js";
import { PG_ACTIVE, PG_LRU, PG_REFERENCED, PG_UNEVICTABLE } from "../page.js";
import { PMD_LEVEL, PTE_LEVEL, type Ptep } from "../page-table.js";
import {
  type Pte,
  pteHugeLeaf,
  pteMkold,
  pteNone,
  ptePfn,
  ptePresent,
  pteSpecial,
  pteUffdWp,
  pteYoung,
} from "../pte.js";
import { contpteTryFold, contpteTryUnfold } from "../tlb/contpte.js";
import { type MmuGather, tlbGatherMmu } from "../tlb/mmu-gather.js";
import { pmdpInvalidate, ptepGetAndClear, ptepTestAndClearYoung, setPteAt } from "../tlb/ptep.js";
import { flushAfterSplit, flushTlbBatchedPending } from "../tlb/unmap-batch.js";
import { nextPopulatedBlock } from "../unmap/zap-range.js";
import { VM_HUGETLB, VM_LOCKED, VM_PFNMAP } from "../vma.js";
import { reclaimPages } from "./shrink-folio-list.js";
import { folioMaybeMappedShared } from "../rmap/maybe-mapped-shared.js";
import { folioMapcount } from "../rmap/rmap.js";

/**
 * madvise_cold_page_range() and madvise_pageout_page_range(): makes the entries of [start, end) old and their folios the first to
 * be reclaimed, or reclaims them. Folios that somebody else maps too are left alone.
 *
 * @returns 0, or -EINVAL for memory that reclaim does not look at
 */
export function* coldOrPageout(
  k: Kernel,
  cpu: number,
  vma: number,
  start: number,
  end: number,
  pageout: boolean,
): Path<number> {
  const refused = yield step("can_madv_lru_vma", () => (k.vmas.has(vma, VM_LOCKED | VM_PFNMAP | VM_HUGETLB) ? 1 : 0));
  if (refused !== 0) return -EINVAL;
  const mm = yield step("vma->vm_mm", () => k.vmas.mm(vma));
  const tlb = yield* tlbGatherMmu(k, cpu, mm);
  for (let at = start; at < end;) {
    const from = at;
    at = yield step("walk_pmd_range", () => nextPopulatedBlock(k, mm, from, end));
    if (at >= end) break;
    const next = Math.min(end, at - (at % k.tables.hugePages) + k.tables.hugePages);
    yield* pmdRange(k, cpu, tlb, at, next, pageout);
    at = next;
  }
  yield* tlb.endVma();
  yield* tlb.finish();
  return 0;
}

/** Pages that were used are reclaimed whatever their entries say; before, their accessed bits were cleared for that. */
const ignoresReferences = (k: Kernel): boolean => since(k.profile, 6, 9);

const clearsYoung = (k: Kernel, pageout: boolean): boolean => !pageout || !ignoresReferences(k);

const REGULAR = 0;
const SPLIT = 1;
const WHOLE = 2;
const SKIP = 3;

function* pmdRange(k: Kernel, cpu: number, tlb: MmuGather, start: number, end: number, pageout: boolean): Path {
  const { mm } = tlb;
  const isolated: number[] = [];
  const pmdp = yield step("pmd_offset", () => k.tables.find(k.mms.pgd(mm), PMD_LEVEL, start));
  yield lockPtl(k, pmdp);
  const whole = end - start === k.tables.hugePages;
  const what = yield step("pmd_trans_huge_lock", () => hugeKind(k, k.tables.get(pmdp), whole));
  if (what === WHOLE) isolated.push(...(yield* wholeHuge(k, cpu, tlb, start, pmdp, pageout)));
  const folio = what === SPLIT ? yield step("folio_get", () => heldHead(k, pmdp)) : 0;
  yield unlockPtl(k, pmdp);
  if (folio !== 0) yield* splitAndPut(k, cpu, folio);
  if (what === REGULAR || what === SPLIT) yield* pteRange(k, cpu, tlb, start, end, pageout, isolated);
  if (pageout && isolated.length > 0) yield* reclaimPages(k, cpu, isolated, ignoresReferences(k));
}

function hugeKind(k: Kernel, pmd: Pte, whole: boolean): number {
  if (!pteHugeLeaf(pmd)) return ptePresent(pmd) ? REGULAR : SKIP;
  if (isHugeZeroPmd(k, pmd) || pteSpecial(pmd)) return SKIP;
  const head = ptePfn(pmd);
  if (givesUpAtLarge(k) ? folioMapcount(k, head) !== 1 : folioMaybeMappedShared(k, head)) return SKIP;
  return whole ? WHOLE : SPLIT;
}

function heldHead(k: Kernel, ptep: Ptep): number {
  const head = k.pages.head(ptePfn(k.tables.get(ptep)));
  k.pages.get(head);
  return head;
}

function* splitAndPut(k: Kernel, cpu: number, folio: number): Path<number> {
  const error = yield* splitFolio(k, cpu, folio);
  yield step("folio_put", () => {
    k.pages.put(folio);
    return 0;
  });
  return error;
}

/** A huge entry that the range covers. Returns the folio if it was isolated for reclaim. */
function* wholeHuge(k: Kernel, cpu: number, tlb: MmuGather, vpn: number, pmdp: Ptep, pageout: boolean): Path<number[]> {
  const young = yield step("pmd_young", () => (pteYoung(k.tables.get(pmdp)) ? 1 : 0));
  if (young !== 0 && clearsYoung(k, pageout)) {
    if (since(k.profile, 6, 10)) yield ptepTestAndClearYoung(k, vpn, pmdp);
    else {
      const before = yield* pmdpInvalidate(k, cpu, tlb.mm, vpn, pmdp);
      yield setPteAt(k, tlb.mm, vpn, pmdp, pteMkold(before));
    }
    tlb.changePage(vpn, k.tables.hugePages);
  }
  const pfn = yield step("pmd_folio", () => ptePfn(k.tables.get(pmdp)));
  return (yield* deactivateOrIsolate(k, pfn, pageout)) ? [pfn] : [];
}

/** Whether the folio was isolated for reclaim. */
function* deactivateOrIsolate(k: Kernel, head: number, pageout: boolean): Path<boolean> {
  const isolated = yield step(pageout ? "folio_isolate_lru" : "folio_deactivate", () => {
    k.pages.unmark(head, PG_REFERENCED | PG_ACTIVE);
    return pageout && folioIsolateLru(k, head) ? 1 : 0;
  });
  if (isolated === 0) return false;
  const evictable = yield step("folio_test_unevictable", () => (k.pages.test(head, PG_UNEVICTABLE) ? 0 : 1));
  if (evictable !== 0) return true;
  yield putback(k, head);
  return false;
}

const DONE = -1;
const LARGE = 1;
const KINDS = 2;

function* pteRange(
  k: Kernel,
  cpu: number,
  tlb: MmuGather,
  start: number,
  end: number,
  pageout: boolean,
  isolated: number[],
): Path {
  const { mm } = tlb;
  const first = yield step("pte_offset_map_lock", () => k.tables.find(k.mms.pgd(mm), PTE_LEVEL, start));
  if (first === 0) return;
  yield lockPtl(k, first);
  yield* flushTlbBatchedPending(k, cpu, mm);
  for (let at = start; at < end;) {
    const from = at;
    const found = yield step("madvise_cold_or_pageout_pte_range", () => nextPage(k, first, start, from, end));
    if (found === DONE) break;
    const vpn = from + Math.floor(found / KINDS);
    const ptep = first + (vpn - start);
    at = vpn + 1;
    if (found % KINDS === LARGE) {
      const covered = yield step("folio_pte_batch", () => coveredPages(k, ptep, vpn, end));
      if (covered === 0) {
        const folio = yield step("folio_get", () => heldHead(k, ptep));
        yield unlockPtl(k, first);
        const error = yield* splitAndPut(k, cpu, folio);
        yield lockPtl(k, first);
        yield* flushAfterSplit(k, cpu, mm);
        if (error === 0) at = vpn;
        else if (givesUpAtLarge(k)) break;
        continue;
      }
      at = vpn + covered;
    }
    for (let page = vpn; page < at; page++) {
      if (clearsYoung(k, pageout)) yield* makeOld(k, cpu, tlb, page, ptep + (page - vpn));
    }
    const head = yield step("vm_normal_folio", () => k.pages.head(ptePfn(k.tables.get(ptep))));
    if (yield* deactivateOrIsolate(k, head, pageout)) isolated.push(head);
  }
  yield unlockPtl(k, first);
}

/** The next page that only this entry maps: its distance times {@link KINDS}, plus {@link LARGE} for a part of a large folio. */
function nextPage(k: Kernel, first: Ptep, start: number, from: number, end: number): number {
  for (let vpn = from; vpn < end; vpn++) {
    const pte = k.tables.get(first + (vpn - start));
    if (pteNone(pte) || !ptePresent(pte) || pteSpecial(pte)) continue;
    const head = k.pages.head(ptePfn(pte));
    if (k.pages.pages(head) > 1) {
      const shared = givesUpAtLarge(k) ? k.pages.totalMapcount(ptePfn(pte)) !== 1 : folioMaybeMappedShared(k, head);
      if (!shared) return (vpn - from) * KINDS + LARGE;
      if (givesUpAtLarge(k)) return DONE;
      continue;
    }
    if (k.pages.test(head, PG_LRU) && k.pages.totalMapcount(head) === 1) return (vpn - from) * KINDS;
  }
  return DONE;
}

/** Up to v6.8 a walk ends at the first large folio that others map as well, or that cannot be split; later ones skip it. */
function givesUpAtLarge(k: Kernel): boolean {
  return !since(k.profile, 6, 9);
}

/** Pages of a large folio when the range and this table map all of it from its first page on (since v6.9), else 0. */
function coveredPages(k: Kernel, ptep: Ptep, vpn: number, end: number): number {
  const pfn = ptePfn(k.tables.get(ptep));
  const pages = k.pages.pages(pfn);
  if (!since(k.profile, 6, 9) || k.pages.head(pfn) !== pfn || vpn + pages > end || folioMapcount(k, pfn) !== pages)
    return 0;
  for (let i = 0; i < pages; i++) {
    const pte = k.tables.get(ptep + i);
    if (!ptePresent(pte) || ptePfn(pte) !== pfn + i || pteUffdWp(pte) !== pteUffdWp(k.tables.get(ptep))) return 0;
  }
  return pages;
}

/** One entry becomes old: since v6.10 in place and a folded block whole, before by taking it out and putting it back. */
function* makeOld(k: Kernel, cpu: number, tlb: MmuGather, vpn: number, ptep: Ptep): Path {
  const young = yield step("pte_young", () => (pteYoung(k.tables.get(ptep)) ? 1 : 0));
  if (young === 0) return;
  if (since(k.profile, 6, 10)) yield ptepTestAndClearYoung(k, vpn, ptep);
  else {
    yield* contpteTryUnfold(k, cpu, tlb.mm, vpn, ptep);
    const before = yield ptepGetAndClear(k, ptep);
    yield setPteAt(k, tlb.mm, vpn, ptep, pteMkold(before));
    yield* contpteTryFold(k, cpu, tlb.mm, vpn, ptep);
  }
  tlb.changePage(vpn);
}
