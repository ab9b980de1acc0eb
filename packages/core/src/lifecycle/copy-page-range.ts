import { call, type Path, step } from "@mmu-notifier/steps";
import { PAGE_SIZE } from "../geometry.js";
import { splitHugePmd } from "../huge/split-huge-pmd.js";
import { copyHugetlbPageRange } from "../hugetlb/copy-hugetlb.js";
import type { Kernel } from "../kernel.js";
import { since } from "../kernel-profile.js";
import { PMD_LEVEL, PTE_LEVEL, type Ptep } from "../page-table.js";
import { pteNone, pteTable } from "../pte.js";
import { contpteTryUnfoldPartial } from "../tlb/contpte.js";
import { nextPopulatedBlock } from "../unmap/zap-range.js";
import { isCowMapping, VM_HUGETLB, VM_MAYBE_GUARD, VM_MIXEDMAP, VM_PFNMAP, VM_UFFD_WP } from "../vma.js";
import { COPIED, copyEntry, copyHugeEntry, NEEDS_PAGE, NEEDS_SPLIT } from "./copy-entry.js";
import { lockBoth, unlockBoth } from "./lock-both.js";

const NONE_LEFT = -1;
const PMD_TABLE = 1;
const PMD_HUGE = 2;

/**
 * copy_page_range(): gives the child's `dst` the entries of the parent's `src`. A mapping that is copied on write is announced
 * whole as PROTECTION_PAGE and write-protected; one whose pages can be faulted in again is not copied at all. Both mmap_locks
 * are held for writing.
 */
export function copyPageRange(k: Kernel, cpu: number, dst: number, src: number): Path {
  return call("copy_page_range", copy(k, cpu, dst, src));
}

function* copy(k: Kernel, cpu: number, dst: number, src: number): Path {
  const flags = yield step("src_vma->vm_flags", () => k.vmas.flags(src));
  const needed = yield step("vma_needs_copy", () => {
    if (k.vmas.has(dst, VM_UFFD_WP) || (flags & (VM_PFNMAP | VM_MIXEDMAP | VM_MAYBE_GUARD)) !== 0) return 1;
    // Hugetlb pages of a file are left to faults since v6.0.
    return k.vmas.anonVma(src) !== 0 || ((flags & VM_HUGETLB) !== 0 && !since(k.profile, 6, 0)) ? 1 : 0;
  });
  if (needed === 0) return;
  if ((flags & VM_HUGETLB) !== 0) {
    yield* copyHugetlbPageRange(k, dst, src);
    return;
  }
  const mm = yield step("src_vma->vm_mm", () => k.vmas.mm(src));
  const child = yield step("dst_vma->vm_mm", () => k.vmas.mm(dst));
  const start = yield step("vma->vm_start", () => k.vmas.start(src));
  const end = yield step("vma->vm_end", () => k.vmas.end(src));
  const cow = isCowMapping(flags);
  const range = { mm, start: start * PAGE_SIZE, end: end * PAGE_SIZE, event: "MMU_NOTIFY_PROTECTION_PAGE" } as const;
  if (cow) yield* k.bus.invalidateRangeStart(range);
  const span = k.tables.hugePages;
  for (let at = start; at < end;) {
    const from = at;
    at = yield step("pmd_none_or_clear_bad", () => nextPopulatedBlock(k, mm, from, end));
    if (at >= end) break;
    const block = at;
    const next = Math.min(end, block - (block % span) + span);
    const what = yield step("pmd_trans_huge", () => {
      const pmd = k.tables.get(k.tables.find(k.mms.pgd(mm), PMD_LEVEL, block));
      return pteNone(pmd) ? 0 : pteTable(pmd) ? PMD_TABLE : PMD_HUGE;
    });
    const copied = what === PMD_HUGE ? yield* copyHugePmd(k, cpu, mm, child, dst, src, block) : false;
    if (what !== 0 && !copied) yield* copyPteRange(k, cpu, mm, child, dst, src, block, next);
    at = next;
  }
  if (cow) yield* k.bus.invalidateRangeEnd(range);
}

/** copy_huge_pmd(): false when the entry had to be split, because its pages are pinned, and is to be copied one by one. */
function* copyHugePmd(
  k: Kernel,
  cpu: number,
  mm: number,
  child: number,
  dst: number,
  src: number,
  vpn: number,
): Path<boolean> {
  const from = yield step("pmd_offset", () => k.tables.find(k.mms.pgd(mm), PMD_LEVEL, vpn));
  const to = yield step("pmd_alloc", () => k.tables.findOrCreate(k.mms.pgd(child), PMD_LEVEL, vpn));
  yield* lockBoth(k, to, from);
  const result = yield step("copy_huge_pmd", () => copyHugeEntry(k, dst, src, to, from, vpn));
  yield* unlockBoth(k, to, from);
  if (result !== NEEDS_SPLIT) return true;
  yield* splitHugePmd(k, cpu, src, vpn);
  return false;
}

/** copy_pte_range(). A pinned page cannot be shared: the child gets a copy, for which the locks are dropped to allocate. */
function* copyPteRange(
  k: Kernel,
  cpu: number,
  mm: number,
  child: number,
  dst: number,
  src: number,
  start: number,
  end: number,
): Path {
  let spare = 0;
  for (let at = start; at < end;) {
    const to = yield step("pte_alloc_map_lock", () => k.tables.findOrCreate(k.mms.pgd(child), PTE_LEVEL, start));
    const from = yield step("pte_offset_map_lock", () => k.tables.find(k.mms.pgd(mm), PTE_LEVEL, start));
    if (from === 0) return;
    yield* lockBoth(k, to, from);
    yield* contpteTryUnfoldPartial(k, cpu, mm, at, from + (at - start), end - at);
    let wantsPage = false;
    while (at < end && !wantsPage) {
      const first = at;
      const page = spare;
      const result = yield step("copy_present_pte", () =>
        copyNext(k, dst, src, to + (first - start), from + (first - start), first, end - first, page),
      );
      if (result === NONE_LEFT) {
        at = end;
        break;
      }
      const done = Math.floor(result / (end - first));
      at = first + (result % (end - first));
      if (done === NEEDS_PAGE) wantsPage = true;
      else {
        if (done !== COPIED) spare = 0;
        at++;
      }
    }
    yield* unlockBoth(k, to, from);
    if (wantsPage) spare = yield step("folio_prealloc", () => k.pages.alloc());
  }
  if (spare === 0) return;
  const unused = spare;
  yield step("folio_put", () => {
    k.pages.put(unused);
    return 0;
  });
}

/** Copies the next entry that is not none: its distance, and what became of it. */
function copyNext(
  k: Kernel,
  dst: number,
  src: number,
  to: Ptep,
  from: Ptep,
  vpn: number,
  count: number,
  spare: number,
): number {
  for (let i = 0; i < count; i++) {
    if (pteNone(k.tables.get(from + i))) continue;
    return copyEntry(k, dst, src, to + i, from + i, vpn + i, spare) * count + i;
  }
  return NONE_LEFT;
}
