import { call, type Path, step } from "@mmu-notifier/steps";
import { folioLock } from "../fault/folio-lock.js";
import { lockPtl, unlockPtl } from "../fault/pte-map.js";
import { vmPageProtOf } from "../fault/vm-page-prot.js";
import { folioPut } from "../folio.js";
import { PAGE_SIZE } from "../geometry.js";
import { hugeOrder } from "../huge/huge-zero.js";
import type { Kernel } from "../kernel.js";
import { PG_LOCKED } from "../page.js";
import { PMD_LEVEL, PTE_LEVEL, type Ptep } from "../page-table.js";
import { mkPte, pteMkhuge, pteNone, ptePfn, ptePresent, pteTable } from "../pte.js";
import { folioAddRmapEntire, folioRemoveRmap } from "../rmap/rmap.js";
import { pmdpCollapseFlush, setPteAt } from "../tlb/ptep.js";
import { VM_UFFD_WP } from "../vma.js";
import { pmdState, SCAN_FAIL, SCAN_PMD_MAPPED, SCAN_STOP, SCAN_SUCCEED } from "./scan-pmd.js";

/**
 * collapse_pte_mapped_thp() for MADV_COLLAPSE: the block's huge page is in the cache, and now one entry maps it here. A table that
 * is left goes if all that it maps are pages of that folio. mmap_lock held.
 *
 * @returns a SCAN_ result
 */
export function collapsePteMappedThp(k: Kernel, cpu: number, vma: number, base: number): Path<number> {
  return call("collapse_pte_mapped_thp", collapse(k, cpu, vma, base));
}

function* collapse(k: Kernel, cpu: number, vma: number, base: number): Path<number> {
  const mm = yield step("vma->vm_mm", () => k.vmas.mm(vma));
  const state = yield step("find_pmd_or_thp_or_none", () => pmdState(k, mm, base));
  if (state === SCAN_PMD_MAPPED) return state;
  const refused = yield step("userfaultfd_wp", () => (k.vmas.has(vma, VM_UFFD_WP) ? SCAN_FAIL : SCAN_SUCCEED));
  if (refused !== SCAN_SUCCEED) return refused;
  const folio = yield step("filemap_lock_folio", () => cachedFolio(k, vma, base));
  if (folio === 0) return SCAN_FAIL;
  yield folioLock(k, folio);
  const result = yield* remap(k, cpu, mm, vma, base, folio);
  yield step("folio_unlock", () => {
    k.pages.unmark(folio, PG_LOCKED);
    folioPut(k, folio);
    return 0;
  });
  return result;
}

/** The huge page that the cache has for the block, with a reference of the caller's; 0 when there is none. Inside a step. */
function cachedFolio(k: Kernel, vma: number, base: number): number {
  const head = k.files.cached(k.files.inode(k.vmas.file(vma)), k.vmas.linearIndex(vma, base));
  if (head <= 0 || k.pages.order(head) !== hugeOrder(k)) return 0;
  k.pages.get(head);
  return head;
}

function* remap(k: Kernel, cpu: number, mm: number, vma: number, base: number, folio: number): Path<number> {
  const pmdp = yield step("pmd_offset", () => k.tables.findOrCreate(k.mms.pgd(mm), PMD_LEVEL, base));
  const table = yield step("pmd_none", () => (pteTable(k.tables.get(pmdp)) ? 1 : 0));
  if (table !== 0) {
    const first = yield step("pte_offset_map_lock", () => k.tables.find(k.mms.pgd(mm), PTE_LEVEL, base));
    yield lockPtl(k, first);
    const suits = yield step("step 1: check all mapped PTEs", () => mapsOnly(k, first, folio));
    yield unlockPtl(k, first);
    if (suits !== SCAN_SUCCEED) return suits;
    yield* removeTable(k, cpu, mm, base, pmdp, first, folio);
  }
  return yield* setHugePmd(k, mm, vma, base, pmdp, folio);
}

/** Inside a step. */
function mapsOnly(k: Kernel, first: Ptep, folio: number): number {
  for (let i = 0; i < k.tables.hugePages; i++) {
    const pte = k.tables.get(first + i);
    if (pteNone(pte)) continue;
    if (!ptePresent(pte)) return SCAN_FAIL;
    if (ptePfn(pte) !== folio + i) return SCAN_STOP;
  }
  return SCAN_SUCCEED;
}

function* removeTable(k: Kernel, cpu: number, mm: number, base: number, pmdp: Ptep, first: Ptep, folio: number): Path {
  const range = {
    mm,
    start: base * PAGE_SIZE,
    end: (base + k.tables.hugePages) * PAGE_SIZE,
    event: "MMU_NOTIFY_CLEAR",
  } as const;
  yield* k.bus.invalidateRangeStart(range);
  yield lockPtl(k, pmdp);
  yield step("step 2: clear page table", () => {
    for (let i = 0; i < k.tables.hugePages; i++) {
      if (pteNone(k.tables.get(first + i))) continue;
      k.tables.set(first + i, 0);
      folioRemoveRmap(k, folio + i);
      k.pages.put(folio);
    }
    return 0;
  });
  const before = yield* pmdpCollapseFlush(k, cpu, mm, base, pmdp);
  yield unlockPtl(k, pmdp);
  yield* k.bus.invalidateRangeEnd(range);
  yield step("pte_free_defer", () => {
    k.tables.free(ptePfn(before));
    return 0;
  });
}

function* setHugePmd(k: Kernel, mm: number, vma: number, base: number, pmdp: Ptep, folio: number): Path<number> {
  yield lockPtl(k, pmdp);
  const entry = yield step("set_huge_pmd", () => {
    if (!pteNone(k.tables.get(pmdp))) return 0;
    k.pages.get(folio);
    folioAddRmapEntire(k, folio);
    return pteMkhuge(mkPte(folio, vmPageProtOf(k, vma)));
  });
  if (entry !== 0) yield setPteAt(k, mm, base, pmdp, entry);
  yield unlockPtl(k, pmdp);
  return entry === 0 ? SCAN_STOP : SCAN_SUCCEED;
}
