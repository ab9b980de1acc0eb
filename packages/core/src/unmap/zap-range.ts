import { call, type Path, spinLock, spinUnlock, step } from "@mmu-notifier/steps";
import { splitHugePmd } from "../huge/split-huge-pmd.js";
import { isHugeZeroPmd } from "../huge/huge-zero.js";
import type { Kernel } from "../kernel.js";
import { since } from "../kernel-profile.js";
import { PG_ANON, PG_DIRTY } from "../page.js";
import { PMD_LEVEL, PTE_LEVEL, type Ptep } from "../page-table.js";
import {
  isMigrationEntry,
  isSwapPte,
  type Pte,
  pteNone,
  ptePfn,
  ptePresent,
  pteSpecial,
  pteTable,
  swpOffset,
} from "../pte.js";
import { folioRemoveRmapEntire } from "../rmap/rmap.js";
import { contpteTryUnfoldPartial } from "../tlb/contpte.js";
import type { MmuGather } from "../tlb/mmu-gather.js";
import { flushTlbBatchedPending } from "../tlb/unmap-batch.js";
import { VM_PFNMAP } from "../vma.js";
import { clearEntry, shouldZap, ZAP_BITS, ZAP_DIRTY_FILE, ZAP_PRESENT } from "./free-entry.js";
import type { ZapDetails } from "./zap-details.js";

const NOTHING_LEFT = -1;

/** What a PMD entry is, for a walk. */
const PMD_NONE = 0;
const PMD_TABLE = 1;
const PMD_HUGE = 2;

/**
 * unmap_page_range(): takes the entries of pages [start, end) of `vma` away. Pages and tables are freed by the gather. The caller
 * holds what keeps the VMA, and has announced the range.
 */
export function unmapPageRange(
  k: Kernel,
  cpu: number,
  tlb: MmuGather,
  vma: number,
  start: number,
  end: number,
  details: ZapDetails,
): Path {
  return call("unmap_page_range", unmapRange(k, cpu, tlb, vma, start, end, details));
}

function* unmapRange(
  k: Kernel,
  cpu: number,
  tlb: MmuGather,
  vma: number,
  start: number,
  end: number,
  details: ZapDetails,
): Path {
  const { mm } = tlb;
  const span = k.tables.hugePages;
  for (let at = start; at < end;) {
    const from = at;
    at = yield step("pmd_offset", () => nextPopulatedBlock(k, mm, from, end));
    if (at >= end) break;
    const block = at;
    const next = Math.min(end, at - (at % span) + span);
    let what = yield step("pmd_none_or_clear_bad", () => pmdKind(k, mm, block));
    if (what === PMD_HUGE) {
      if (next - at === span) {
        if (yield* zapHugePmd(k, tlb, mm, at, details)) {
          at = next;
          continue;
        }
      } else yield* splitHugePmd(k, cpu, vma, at);
      what = yield step("pmd_none_or_clear_bad", () => pmdKind(k, mm, block));
    }
    if (what === PMD_TABLE) yield* zapPteRange(k, cpu, tlb, vma, at, next, details);
    at = next;
  }
  const pfnMap = yield step("vma->vm_flags", () => (k.vmas.has(vma, VM_PFNMAP) ? 1 : 0));
  yield* tlb.endVma(pfnMap !== 0);
}

/** The first page from `from` on whose PMD entry is not none, at most `end`. Inside a step. */
export function nextPopulatedBlock(k: Kernel, mm: number, from: number, end: number): number {
  const pgd = k.mms.pgd(mm);
  const { span, top } = k.tables;
  for (let at = from; at < end;) {
    let table = pgd;
    let level = top;
    for (; ; level--) {
      const entry = k.tables.get(k.tables.ptepIn(table, level, at));
      if (pteNone(entry)) break;
      if (level === PMD_LEVEL || !pteTable(entry)) return at;
      table = ptePfn(entry);
    }
    at = at - (at % span[level]!) + span[level]!;
  }
  return end;
}

function pmdKind(k: Kernel, mm: number, vpn: number): number {
  const pmdp = k.tables.find(k.mms.pgd(mm), PMD_LEVEL, vpn);
  const pmd = pmdp === 0 ? 0 : k.tables.get(pmdp);
  if (pteNone(pmd)) return PMD_NONE;
  return pteTable(pmd) ? PMD_TABLE : PMD_HUGE;
}

/** zap_huge_pmd(): false when the entry was not huge any more. */
function* zapHugePmd(k: Kernel, tlb: MmuGather, mm: number, vpn: number, details: ZapDetails): Path<boolean> {
  const span = k.tables.hugePages;
  const pmdp = yield step("pmd_offset", () => k.tables.find(k.mms.pgd(mm), PMD_LEVEL, vpn));
  const ptl = k.tables.ptl(k.tables.tableOf(pmdp));
  yield spinLock(ptl);
  const cleared = yield step("zap_huge_pmd", () => clearHugePmd(k, pmdp, details));
  yield spinUnlock(ptl);
  if (cleared === NOTHING_LEFT) return false;
  if ((cleared & ZAP_PRESENT) !== 0) tlb.removeEntry(vpn, span);
  const pfn = Math.floor(cleared / ZAP_BITS);
  if (pfn !== 0) tlb.removePage(pfn);
  return true;
}

function clearHugePmd(k: Kernel, pmdp: Ptep, { folio, evenCows }: ZapDetails): number {
  const pmd = k.tables.get(pmdp);
  if (pteNone(pmd) || pteTable(pmd)) return NOTHING_LEFT;
  if (folio !== 0 && ptePresent(pmd) && ptePfn(pmd) !== folio) return 0;
  if (!evenCows && isAnonHuge(k, pmd)) return 0;
  k.tables.set(pmdp, 0);
  if (isSwapPte(pmd)) return isMigrationEntry(pmd) ? 0 : removeEntire(k, swpOffset(pmd)) * ZAP_BITS;
  if (pteSpecial(pmd) || isHugeZeroPmd(k, pmd)) return ZAP_PRESENT;
  const pfn = ptePfn(pmd);
  if (!k.pages.test(pfn, PG_ANON) && k.pte.dirty(pmd)) k.pages.mark(pfn, PG_DIRTY);
  return removeEntire(k, pfn) * ZAP_BITS + ZAP_PRESENT;
}

function isAnonHuge(k: Kernel, pmd: Pte): boolean {
  return ptePresent(pmd) && !isHugeZeroPmd(k, pmd) && !pteSpecial(pmd) && k.pages.test(ptePfn(pmd), PG_ANON);
}

function removeEntire(k: Kernel, pfn: number): number {
  if (k.pages.entireMapcount(pfn) > 0) folioRemoveRmapEntire(k, pfn);
  return pfn;
}

/** zap_pte_range(): the entries of one page table. */
function* zapPteRange(
  k: Kernel,
  cpu: number,
  tlb: MmuGather,
  vma: number,
  start: number,
  end: number,
  details: ZapDetails,
): Path {
  const { mm } = tlb;
  for (let at = start; at < end;) {
    const first = at;
    const ptep = yield step("pte_offset_map_lock", () => k.tables.find(k.mms.pgd(mm), PTE_LEVEL, first));
    if (ptep === 0) return;
    const table = k.tables.tableOf(ptep);
    const ptl = k.tables.ptl(table);
    yield spinLock(ptl);
    yield* flushTlbBatchedPending(k, cpu, mm);
    yield* contpteTryUnfoldPartial(k, cpu, mm, at, ptep, end - at);
    let forceFlush = false;
    let full = false;
    while (at < end && !full) {
      const from = at;
      const result = yield step("zap_pte_range", () => zapNext(k, vma, table, from, end, details));
      if (result === NOTHING_LEFT) {
        at = end;
        break;
      }
      const vpn = from + (result % (end - from));
      const cleared = Math.floor(result / (end - from));
      if ((cleared & ZAP_PRESENT) !== 0) tlb.removeEntry(vpn);
      if ((cleared & ZAP_DIRTY_FILE) !== 0) forceFlush = true;
      const pfn = Math.floor(cleared / ZAP_BITS);
      if (pfn !== 0) full = tlb.removePage(pfn);
      at = vpn + 1;
    }
    if (forceFlush || full) yield* tlb.flushTlbOnly();
    yield spinUnlock(ptl);
    if (forceFlush || full) yield* tlb.flush();
  }
  if (
    details.reclaimTables &&
    end - start === k.tables.hugePages &&
    (k.arch.reclaimsTables ? since(k.profile, 6, 14) : since(k.profile, 7, 0))
  ) {
    yield* reclaimTable(k, tlb, mm, start);
  }
}

/** Clears the next entry from page `from` on that is to go: its distance from `from`, and what clearing it left to do. */
function zapNext(k: Kernel, vma: number, table: number, from: number, end: number, details: ZapDetails): number {
  const first = k.tables.ptepIn(table, PTE_LEVEL, from);
  for (let i = 0; i < end - from; i++) {
    const pte = k.tables.get(first + i);
    if (pteNone(pte) || !shouldZap(k, vma, pte, details)) continue;
    return clearEntry(k, vma, first + i, pte, details) * (end - from) + i;
  }
  return NOTHING_LEFT;
}

/** try_to_free_pte(): an empty table of a block that was zapped whole is freed with the gather. */
function* reclaimTable(k: Kernel, tlb: MmuGather, mm: number, vpn: number): Path {
  const pmdp = yield step("pmd_offset", () => k.tables.find(k.mms.pgd(mm), PMD_LEVEL, vpn));
  if (pmdp === 0) return;
  const ptl = k.tables.ptl(k.tables.tableOf(pmdp));
  yield spinLock(ptl);
  const table = yield step("try_get_and_clear_pmd", () => {
    const pmd = k.tables.get(pmdp);
    if (!pteTable(pmd) || k.tables.count(ptePfn(pmd)) > 0) return 0;
    k.tables.set(pmdp, 0);
    return ptePfn(pmd);
  });
  yield spinUnlock(ptl);
  if (table !== 0) tlb.freeTable(table, PTE_LEVEL, vpn);
}
