import { call, downRead, downWrite, mightSleep, type Path, step, upRead, upWrite } from "@mmu-notifier/steps";
import { swapInPage } from "../fault/handle-mm-fault.js";
import { VM_FAULT_ERROR, VM_FAULT_RETRY } from "../fault/vm-fault.js";
import { lockPtl, packEntry, packedPte, packedPtep, unlockPtl } from "../fault/pte-map.js";
import { vmPageProtOf } from "../fault/vm-page-prot.js";
import { folioPut, freeSwapCache } from "../folio.js";
import { readSwapCache } from "../folio-swap.js";
import { PAGE_SIZE } from "../geometry.js";
import { hugeOrder } from "../huge/huge-zero.js";
import type { Kernel } from "../kernel.js";
import { PG_DIRTY, PG_LRU, PG_SWAPBACKED, PG_UPTODATE, PG_ANON } from "../page.js";
import { PMD_LEVEL, PTE_LEVEL } from "../page-table.js";
import {
  isSwapPte,
  mkPte,
  mkTable,
  pteMkhuge,
  pteMkyoung,
  pteNone,
  ptePfn,
  pteSpecial,
  pteTable,
  swpOffset,
} from "../pte.js";
import { folioRemoveRmap } from "../rmap/rmap.js";
import type { Thread } from "../thread.js";
import { pmdpCollapseFlush, setPteAt } from "../tlb/ptep.js";
import { updateMmuCache } from "../tlb/set-access-flags.js";
import { mmapWriteLock, mmapWriteUnlock, vmaStartWrite } from "../vma/vma-lock.js";
import { SCAN_BUSY, SCAN_FAIL, SCAN_SUCCEED, SCAN_SWAPPED, SCAN_VMA_CHECK, scanPmd } from "./scan-pmd.js";

/**
 * collapse_huge_page(): replaces the table of the block at `base` by one huge page with copies. The block is announced while its
 * table is taken out; when the huge entry comes, nobody can have looked. mmap_lock is held for reading at the start and at the
 * end, and for writing in between.
 *
 * @returns a SCAN_ result
 */
export function collapseHugePage(k: Kernel, t: Thread, vma: number, base: number, scanned: number): Path<number> {
  return call("collapse_huge_page", collapse(k, t, vma, base, scanned));
}

function* collapse(k: Kernel, t: Thread, vma: number, base: number, scanned: number): Path<number> {
  const { cpu, mm } = t;
  const lock = k.mms.mmapLock(mm);
  yield upRead(lock);
  yield mightSleep("alloc_charge_folio");
  yield downRead(lock);
  const still = yield step("hugepage_vma_revalidate", () => (covers(k, mm, vma, base) ? 1 : 0));
  if (still === 0) return SCAN_VMA_CHECK;
  const swapped = scanned === SCAN_SWAPPED ? yield* swapIn(k, cpu, mm, vma, base) : SCAN_SUCCEED;
  if (swapped !== SCAN_SUCCEED) return swapped;
  yield upRead(lock);
  yield* mmapWriteLock(k, mm);
  const result = yield* underWriteLock(k, cpu, mm, vma, base);
  yield* mmapWriteUnlock(k, mm);
  yield downRead(lock);
  return result;
}

function covers(k: Kernel, mm: number, vma: number, base: number): boolean {
  return k.vmas.lookup(k.mms.vmaList(mm), base) === vma && k.vmas.end(vma) >= base + k.tables.hugePages;
}

/**
 * __collapse_huge_page_swapin(): each swapped page comes in, without write access. One that has to be read is still locked by the read
 * when it is wanted: it stays in the swap cache for the next attempt. A SCAN_ result.
 */
function* swapIn(k: Kernel, cpu: number, mm: number, vma: number, base: number): Path<number> {
  for (let vpn = base; vpn < base + k.tables.hugePages; vpn++) {
    const at = vpn;
    const found = yield step("is_swap_pte", () => {
      const ptep = k.tables.find(k.mms.pgd(mm), PTE_LEVEL, at);
      const pte = ptep === 0 ? 0 : k.tables.get(ptep);
      return isSwapPte(pte) ? packEntry(ptep, pte) : 0;
    });
    if (found === 0) continue;
    const reads = yield step("folio_lock_or_retry", () => {
      const slot = swpOffset(packedPte(found));
      if (k.swap.cached(slot) !== 0) return 0;
      readSwapCache(k, slot);
      return 1;
    });
    if (reads !== 0) return SCAN_BUSY;
    const fault = yield* swapInPage(k, cpu, vma, vpn, packedPtep(found), packedPte(found));
    if ((fault & (VM_FAULT_ERROR | VM_FAULT_RETRY)) !== 0) return SCAN_FAIL;
  }
  return SCAN_SUCCEED;
}

function* underWriteLock(k: Kernel, cpu: number, mm: number, vma: number, base: number): Path<number> {
  const again = yield step("hugepage_vma_revalidate", () =>
    covers(k, mm, vma, base) ? scanPmd(k, vma, base) : SCAN_VMA_CHECK,
  );
  if (again !== SCAN_SUCCEED) return again;
  yield* vmaStartWrite(k, vma);
  const root = yield step("vma->anon_vma", () => k.anonVmas.root(k.vmas.anonVma(vma)));
  yield downWrite(k.anonVmas.lockOfRoot(root));
  const range = {
    mm,
    start: base * PAGE_SIZE,
    end: (base + k.tables.hugePages) * PAGE_SIZE,
    event: "MMU_NOTIFY_CLEAR",
  } as const;
  yield* k.bus.invalidateRangeStart(range);
  const pmdp = yield step("pmd_offset", () => k.tables.find(k.mms.pgd(mm), PMD_LEVEL, base));
  yield lockPtl(k, pmdp);
  const before = yield* pmdpCollapseFlush(k, cpu, mm, base, pmdp);
  yield unlockPtl(k, pmdp);
  yield* k.bus.invalidateRangeEnd(range);
  const table = ptePfn(before);
  const folio = yield step("__collapse_huge_page_copy", () =>
    pteTable(before) && isolates(k, table) ? copy(k, vma, base, table) : 0,
  );
  yield lockPtl(k, pmdp);
  if (folio === 0) yield setPteAt(k, mm, base, pmdp, mkTable(table));
  else {
    const entry = yield step("mk_huge_pmd", () =>
      k.pte.maybeMkwrite(k.pte.mkdirty(pteMkyoung(pteMkhuge(mkPte(folio, vmPageProtOf(k, vma))))), k.vmas.flags(vma)),
    );
    yield setPteAt(k, mm, base, pmdp, entry);
    yield* updateMmuCache(k, cpu, mm, base);
  }
  yield unlockPtl(k, pmdp);
  yield upWrite(k.anonVmas.lockOfRoot(root));
  return folio === 0 ? SCAN_FAIL : SCAN_SUCCEED;
}

/** __collapse_huge_page_isolate(): nobody has taken a reference since the scan. */
function isolates(k: Kernel, table: number): boolean {
  const first = k.tables.ptepIn(table, PTE_LEVEL, 0);
  for (let i = 0; i < k.tables.hugePages; i++) {
    const pte = k.tables.get(first + i);
    if (pteNone(pte) || pteSpecial(pte)) continue;
    if (isSwapPte(pte)) return false;
    if (k.pages.pincount(ptePfn(pte)) > 0) return false;
  }
  return true;
}

/** Copies the pages, drops their mappings and the table; returns the huge page, mapped once and exclusive. */
function copy(k: Kernel, vma: number, base: number, table: number): number {
  const folio = k.pages.alloc(hugeOrder(k), PG_UPTODATE | PG_ANON | PG_SWAPBACKED | PG_LRU | PG_DIRTY);
  const first = k.tables.ptepIn(table, PTE_LEVEL, 0);
  for (let i = 0; i < k.tables.hugePages; i++) {
    const pte = k.tables.get(first + i);
    k.tables.set(first + i, 0);
    if (pteNone(pte) || pteSpecial(pte)) continue;
    const pfn = ptePfn(pte);
    k.pages.setContent(folio + i, k.pages.content(pfn));
    folioRemoveRmap(k, pfn);
    freeSwapCache(k, pfn);
    folioPut(k, pfn);
  }
  k.tables.free(table);
  k.pages.setMapping(folio, k.vmas.anonVma(vma));
  k.pages.setIndex(folio, k.vmas.linearIndex(vma, base));
  k.pages.setAnonExclusive(folio, true);
  k.pages.addEntireMapcount(folio, 1);
  return folio;
}
