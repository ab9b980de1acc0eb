import { call, downRead, mightSleep, type Path, step, upRead } from "@mmu-notifier/steps";
import { lockPtl, unlockPtl } from "../fault/pte-map.js";
import { folioPut, freeSwapAndCache } from "../folio.js";
import { PAGE_SIZE } from "../geometry.js";
import { hugeOrder } from "../huge/huge-zero.js";
import type { Kernel } from "../kernel.js";
import { PG_DIRTY, PG_LOCKED, PG_LRU, PG_SWAPBACKED, PG_UPTODATE } from "../page.js";
import { PMD_LEVEL } from "../page-table.js";
import { ptePfn, pteTable } from "../pte.js";
import { folioMapcount } from "../rmap/rmap.js";
import { tryToUnmap } from "../rmap/try-to-unmap.js";
import { folioLock } from "../fault/folio-lock.js";
import { pmdpCollapseFlush } from "../tlb/ptep.js";
import { TlbUnmapBatch, tryToUnmapFlush } from "../tlb/unmap-batch.js";
import { VM_MAYBE_GUARD, VM_UFFD_WP } from "../vma.js";
import { nextFileVma } from "../vma/file-links.js";
import { SCAN_BUSY, SCAN_PTE_MAPPED_HUGEPAGE, SCAN_STOP, SCAN_SUCCEED } from "./scan-pmd.js";

/**
 * collapse_file() of shmem: the pages of the block that begins at file page `first` move into one huge page of the cache. Mapped
 * pages are unmapped one by one; then the tables that mapped the block are taken out of every process.
 *
 * @returns a SCAN_ result: SCAN_PTE_MAPPED_HUGEPAGE when the cache has the huge page
 */
export function collapseFile(k: Kernel, cpu: number, inode: number, first: number): Path<number> {
  return call("collapse_file", collapse(k, cpu, inode, first));
}

function* collapse(k: Kernel, cpu: number, inode: number, first: number): Path<number> {
  yield mightSleep("alloc_charge_folio");
  const span = k.tables.hugePages;
  const state = yield step("filemap_get_folio", () => cacheState(k, inode, first));
  if (state !== SCAN_SUCCEED) return state;
  const folio = yield step("alloc_charge_folio", () =>
    k.pages.alloc(hugeOrder(k), PG_UPTODATE | PG_SWAPBACKED | PG_LRU | PG_LOCKED),
  );
  const batch = new TlbUnmapBatch();
  let result = SCAN_SUCCEED;
  for (let i = 0; i < span && result === SCAN_SUCCEED;) {
    const index = first + i;
    i++;
    const pfn = yield step("xas_load", () => {
      const slot = k.files.cached(inode, index);
      return slot > 0 ? k.pages.head(slot) : slot;
    });
    if (pfn <= 0) continue;
    yield folioLock(k, pfn);
    const mapped = yield step("folio_mapped", () => folioMapcount(k, pfn));
    if (mapped !== 0) yield* tryToUnmap(k, cpu, pfn, { batch, ignoreMlock: true });
    const pages = yield step("folio_ref_freeze", () => {
      k.pages.unmark(pfn, PG_LOCKED);
      const own = k.pages.pages(pfn);
      return k.pages.refcount(pfn) === own ? own : 0;
    });
    if (pages === 0) result = SCAN_BUSY;
    else i += pages - 1;
  }
  yield* tryToUnmapFlush(k, cpu, batch);
  yield step("xas_store", () => {
    if (result === SCAN_SUCCEED) replace(k, inode, first, folio);
    k.pages.unmark(folio, PG_LOCKED);
    folioPut(k, folio);
    return 0;
  });
  if (result !== SCAN_SUCCEED) return result;
  yield* retractPageTables(k, cpu, inode, first);
  return SCAN_PTE_MAPPED_HUGEPAGE;
}

/** hpage_collapse_scan_file(): the block has a page, and nobody but the cache and mappings holds one. Inside a step. */
function cacheState(k: Kernel, inode: number, first: number): number {
  const pfn = k.files.cached(inode, first);
  if (pfn > 0 && k.pages.order(pfn) === hugeOrder(k)) return SCAN_PTE_MAPPED_HUGEPAGE;
  let present = 0;
  for (let i = 0; i < k.tables.hugePages;) {
    const slot = k.files.cached(inode, first + i);
    const pages = slot > 0 ? k.pages.pages(slot) : 1;
    if (slot > 0 && k.pages.refcount(slot) !== pages + folioMapcount(k, slot)) return SCAN_BUSY;
    if (slot !== 0) present++;
    i += pages;
  }
  return present === 0 ? SCAN_STOP : SCAN_SUCCEED;
}

/** The huge page takes the place of what was cached; holes become zeroes. The cache takes a reference for each page. */
function replace(k: Kernel, inode: number, first: number, folio: number): void {
  const span = k.tables.hugePages;
  k.pages.get(folio, span);
  k.pages.setMapping(folio, inode);
  k.pages.setIndex(folio, first);
  for (let i = 0; i < span; i++) {
    const old = k.files.cached(inode, first + i);
    if (old > 0) {
      k.pages.setContent(folio + i, k.pages.content(old));
      if (k.pages.test(old, PG_DIRTY)) k.pages.mark(folio, PG_DIRTY);
      k.pages.setMapping(old, 0);
      folioPut(k, old);
    } else if (old < 0) {
      k.pages.setContent(folio + i, k.swap.content(-old));
      k.pages.mark(folio, PG_DIRTY);
      freeSwapAndCache(k, -old);
    }
    k.files.setCached(inode, first + i, folio + i);
  }
}

/** retract_page_tables(): each process that maps the block loses the table for it, under the file's lock only. */
function* retractPageTables(k: Kernel, cpu: number, inode: number, first: number): Path {
  yield downRead(k.files.iMmapLock(inode));
  for (let vma = 0; ;) {
    const after = vma;
    vma = yield step("vma_interval_tree_foreach", () => nextVma(k, inode, first, after));
    if (vma === 0) break;
    const here = vma;
    const mm = yield step("vma->vm_mm", () => k.vmas.mm(here));
    const base = yield step("vma_address", () => k.vmas.start(here) + first - k.vmas.pgoff(here));
    const pmdp = yield step("mm_find_pmd", () => {
      const at = k.tables.find(k.mms.pgd(mm), PMD_LEVEL, base);
      return at !== 0 && pteTable(k.tables.get(at)) ? at : 0;
    });
    if (pmdp !== 0) yield* removeTable(k, cpu, mm, base, pmdp);
  }
  yield upRead(k.files.iMmapLock(inode));
}

function nextVma(k: Kernel, inode: number, first: number, after: number): number {
  const { vmas } = k;
  const span = k.tables.hugePages;
  return nextFileVma(k, inode, after, (vma) => {
    const base = vmas.start(vma) + first - vmas.pgoff(vma);
    const aligned = base >= vmas.start(vma) && base + span <= vmas.end(vma) && base % span === 0;
    // file_backed_vma_is_retractable(): private copies, userfaultfd's markers and guard pages live in the table, so it stays.
    return aligned && vmas.anonVma(vma) === 0 && !vmas.has(vma, VM_UFFD_WP | VM_MAYBE_GUARD);
  });
}

/** collapse_and_free_pmd(): takes an empty page table out of the tree. */
function* removeTable(k: Kernel, cpu: number, mm: number, base: number, pmdp: number): Path {
  const range = {
    mm,
    start: base * PAGE_SIZE,
    end: (base + k.tables.hugePages) * PAGE_SIZE,
    event: "MMU_NOTIFY_CLEAR",
  } as const;
  yield* k.bus.invalidateRangeStart(range);
  yield lockPtl(k, pmdp);
  const empty = yield step("pmd_same", () => {
    const pmd = k.tables.get(pmdp);
    return pteTable(pmd) && k.tables.count(ptePfn(pmd)) === 0 ? 1 : 0;
  });
  if (empty !== 0) {
    const before = yield* pmdpCollapseFlush(k, cpu, mm, base, pmdp);
    yield step("pte_free_defer", () => {
      k.tables.free(ptePfn(before));
      return 0;
    });
  }
  yield unlockPtl(k, pmdp);
  yield* k.bus.invalidateRangeEnd(range);
}
