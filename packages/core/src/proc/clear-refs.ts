import { ULONG_MAX } from "@mmu-notifier/bus";
import { call, downRead, type Path, step, upRead } from "@mmu-notifier/steps";
import { EINVAL } from "../errno.js";
import { lockPtl, unlockPtl } from "../fault/pte-map.js";
import type { Kernel } from "../kernel.js";
import { since } from "../kernel-profile.js";
import { PG_REFERENCED } from "../page.js";
import { PMD_LEVEL, PTE_LEVEL, type Ptep } from "../page-table.js";
import {
  isPteMarker,
  isSwapPte,
  type Pte,
  PTE_SOFT_DIRTY,
  pteClearSoftDirty,
  pteHugeLeaf,
  pteNone,
  ptePfn,
  ptePresent,
  pteSpecial,
  pteTable,
} from "../pte.js";
import type { Thread } from "../thread.js";
import { contpteTryUnfold } from "../tlb/contpte.js";
import { flushTlbMm } from "../tlb/flush.js";
import { pmdpInvalidate, ptepModifyProtStart, ptepTestAndClearYoung, setPteAt } from "../tlb/ptep.js";
import { nextPopulatedBlock } from "../unmap/zap-range.js";
import { isCowMapping, VM_HUGETLB, VM_PFNMAP, VM_SOFTDIRTY } from "../vma.js";
import { mmapWriteLock, mmapWriteUnlock } from "../vma/vma-lock.js";

/** What a number written to /proc/PID/clear_refs asks for. */
const CLEAR_REFS_ALL = 1;
const CLEAR_REFS_ANON = 2;
const CLEAR_REFS_MAPPED = 3;
const CLEAR_REFS_SOFT_DIRTY = 4;
const CLEAR_REFS_MM_HIWATER_RSS = 5;

/**
 * clear_refs_write(): 1 to 3 make entries old without telling anybody; 4 begins to track writes, and announces the whole address
 * space even where the kernel or the machine has no soft-dirty bit; 5 is accounting.
 *
 * @returns 0 or -EINVAL
 */
export function clearRefs(k: Kernel, t: Thread, what: number): Path<number> {
  return call("clear_refs_write", write(k, t, what));
}

function* write(k: Kernel, t: Thread, what: number): Path<number> {
  if (what < CLEAR_REFS_ALL || what > CLEAR_REFS_MM_HIWATER_RSS) return -EINVAL;
  if (what === CLEAR_REFS_MM_HIWATER_RSS) return 0;
  if (what === CLEAR_REFS_SOFT_DIRTY) yield* clearSoftDirty(k, t);
  else {
    const lock = k.mms.mmapLock(t.mm);
    yield downRead(lock);
    yield* forEachBlock(k, t.mm, what, (vma, start, end) => makeOld(k, t, vma, start, end));
    yield upRead(lock);
  }
  return 0;
}

function* clearSoftDirty(k: Kernel, t: Thread): Path {
  const { cpu, mm } = t;
  yield* mmapWriteLock(k, mm);
  yield step("vm_flags_clear(VM_SOFTDIRTY)", () => {
    k.mms.addTlbFlushPending(mm, 1);
    const list = k.mms.vmaList(mm);
    for (let i = 0; i < k.vmas.count(list); i++)
      k.vmas.setFlags(k.vmas.at(list, i), k.vmas.flags(k.vmas.at(list, i)) & ~VM_SOFTDIRTY);
    return 0;
  });
  const range = { mm, start: 0, end: ULONG_MAX, event: "MMU_NOTIFY_SOFT_DIRTY" } as const;
  yield* k.bus.invalidateRangeStart(range);
  if (k.config.softDirty && k.arch.softDirty)
    yield* forEachBlock(k, mm, CLEAR_REFS_ALL, (vma, start, end) => protectBlock(k, t, vma, start, end));
  yield* k.bus.invalidateRangeEnd(range);
  yield* flushTlbMm(k, cpu, mm);
  yield step("dec_tlb_flush_pending", () => {
    k.mms.addTlbFlushPending(mm, -1);
    return 0;
  });
  yield* mmapWriteUnlock(k, mm);
}

/** walk_page_range() over the VMAs that `what` is about, one populated block at a time. */
function* forEachBlock(
  k: Kernel,
  mm: number,
  what: number,
  visit: (vma: number, start: number, end: number) => Path,
): Path {
  const list = yield step("mm->mm_mt", () => k.mms.vmaList(mm));
  const count = yield step("mm->map_count", () => k.vmas.count(list));
  for (let i = 0; i < count; i++) {
    const vma = yield step("clear_refs_test_walk", () => {
      const at = k.vmas.at(list, i);
      return isMeant(k, at, what) ? at : 0;
    });
    if (vma === 0) continue;
    const end = yield step("vma->vm_end", () => k.vmas.end(vma));
    for (let at = yield step("vma->vm_start", () => k.vmas.start(vma)); at < end;) {
      const from = at;
      at = yield step("walk_pmd_range", () => nextPopulatedBlock(k, mm, from, end));
      if (at >= end) break;
      const next = Math.min(end, at - (at % k.tables.hugePages) + k.tables.hugePages);
      yield* visit(vma, at, next);
      at = next;
    }
  }
}

function isMeant(k: Kernel, vma: number, what: number): boolean {
  if (k.vmas.has(vma, VM_PFNMAP | VM_HUGETLB)) return false;
  if (what === CLEAR_REFS_ANON) return k.vmas.file(vma) === 0;
  return what !== CLEAR_REFS_MAPPED || k.vmas.file(vma) !== 0;
}

/** The block's huge entry, or 0. */
function hugeEntry(k: Kernel, mm: number, vpn: number): number {
  const pmdp = k.tables.find(k.mms.pgd(mm), PMD_LEVEL, vpn);
  return pmdp !== 0 && pteHugeLeaf(k.tables.get(pmdp)) ? pmdp : 0;
}

function* makeOld(k: Kernel, t: Thread, _vma: number, start: number, end: number): Path {
  const pmdp = yield step("pmd_trans_huge_lock", () => hugeEntry(k, t.mm, start));
  const first =
    pmdp !== 0 ? pmdp : yield step("pte_offset_map_lock", () => k.tables.find(k.mms.pgd(t.mm), PTE_LEVEL, start));
  if (first === 0) return;
  yield lockPtl(k, first);
  const entries = pmdp !== 0 ? 1 : end - start;
  for (let i = 0; i < entries; i++) {
    const ptep = first + i;
    const page = yield step("vm_normal_page", () => {
      const pte = k.tables.get(ptep);
      return ptePresent(pte) && !pteSpecial(pte) ? ptePfn(pte) : 0;
    });
    if (page === 0) continue;
    yield ptepTestAndClearYoung(k, start + i, ptep);
    yield step("folio_clear_referenced", () => {
      k.pages.unmark(page, PG_REFERENCED);
      return 0;
    });
  }
  yield unlockPtl(k, first);
}

/** clear_soft_dirty() of a block's entries: read-only, so that the next write sets the bit again. */
function* protectBlock(k: Kernel, t: Thread, vma: number, start: number, end: number): Path {
  const { cpu, mm } = t;
  const pmdp = yield step("pmd_trans_huge_lock", () => hugeEntry(k, mm, start));
  if (pmdp !== 0) {
    yield lockPtl(k, pmdp);
    const before = yield* pmdpInvalidate(k, cpu, mm, start, pmdp);
    yield setPteAt(k, mm, start, pmdp, pteClearSoftDirty(k.pte.wrprotect(before)));
    yield unlockPtl(k, pmdp);
    return;
  }
  const first = yield step("pte_offset_map_lock", () =>
    isTable(k, mm, start) ? k.tables.find(k.mms.pgd(mm), PTE_LEVEL, start) : 0,
  );
  if (first === 0) return;
  yield lockPtl(k, first);
  for (let i = 0; i < end - start; i++) {
    const ptep = first + i;
    const touches = yield step("clear_soft_dirty", () => clearNonPresent(k, vma, ptep));
    if (touches === 0) continue;
    yield* contpteTryUnfold(k, cpu, mm, start + i, ptep);
    const before = yield ptepModifyProtStart(k, ptep);
    yield setPteAt(k, mm, start + i, ptep, pteClearSoftDirty(k.pte.wrprotect(before)));
  }
  yield unlockPtl(k, first);
}

function isTable(k: Kernel, mm: number, vpn: number): boolean {
  const pmdp = k.tables.find(k.mms.pgd(mm), PMD_LEVEL, vpn);
  return pmdp !== 0 && pteTable(k.tables.get(pmdp));
}

/** 1 for a present entry that is to be changed; swap entries lose the bit at once. */
function clearNonPresent(k: Kernel, vma: number, ptep: Ptep): number {
  const pte: Pte = k.tables.get(ptep);
  if (pteNone(pte)) return 0;
  if (isSwapPte(pte)) {
    if (!isPteMarker(pte)) k.tables.set(ptep, pte & ~PTE_SOFT_DIRTY);
    return 0;
  }
  // A pinned page is written behind the entry's back: it stays writable and soft-dirty.
  const pinned = isCowMapping(k.vmas.flags(vma)) && !pteSpecial(pte) && k.pages.pincount(ptePfn(pte)) > 0;
  return pinned && since(k.profile, 5, 12) ? 0 : 1;
}
