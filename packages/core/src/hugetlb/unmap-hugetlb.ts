import { call, downWrite, type Path, spinLock, spinUnlock, step, upWrite } from "@mmu-notifier/steps";
import { PAGE_SIZE } from "../geometry.js";
import type { Kernel } from "../kernel.js";
import { PG_ANON, PG_DIRTY } from "../page.js";
import { PMD_LEVEL, type Ptep } from "../page-table.js";
import {
  isMigrationEntry,
  isPteMarker,
  mkSwp,
  pteNone,
  ptePfn,
  ptePresent,
  pteUffdWp,
  SWP_MARKER_UFFD_WP,
  swpOffset,
  swpType,
} from "../pte.js";
import { folioRemoveRmapEntire } from "../rmap/rmap.js";
import type { MmuGather } from "../tlb/mmu-gather.js";

const NONE = -1;
const PRESENT = 1;
const BITS = 2;

/**
 * __unmap_hugepage_range_final(): munmap and MADV_DONTNEED of hugetlb pages [start, end), with i_mmap_rwsem held around it.
 *
 * @param dropMarkers userfaultfd's write protection goes as well; otherwise markers keep it
 */
export function unmapHugepageRange(
  k: Kernel,
  tlb: MmuGather,
  vma: number,
  start: number,
  end: number,
  dropMarkers: boolean,
): Path {
  return call("__unmap_hugepage_range_final", final(k, tlb, vma, start, end, dropMarkers));
}

function* final(k: Kernel, tlb: MmuGather, vma: number, start: number, end: number, dropMarkers: boolean): Path {
  const inode = yield step("vma->vm_file->f_mapping", () => k.files.inode(k.vmas.file(vma)));
  yield downWrite(k.files.iMmapLock(inode));
  yield* unmapHugepageRangeLocked(k, tlb, vma, start, end, dropMarkers);
  yield upWrite(k.files.iMmapLock(inode));
}

/** __unmap_hugepage_range(): the same with i_mmap_rwsem held by the caller. Up to v6.1 it announces the range itself. */
export function* unmapHugepageRangeLocked(
  k: Kernel,
  tlb: MmuGather,
  vma: number,
  start: number,
  end: number,
  dropMarkers: boolean,
): Path {
  const { mm } = tlb;
  const range = { mm, start: start * PAGE_SIZE, end: end * PAGE_SIZE, event: k.profile.hugetlbTruncateEvent } as const;
  if (k.profile.hugetlbNestedRange) yield* k.bus.invalidateRangeStart(range);
  const span = k.tables.hugePages;
  for (let vpn = start; vpn < end; vpn += span) {
    const at = vpn;
    const ptep = yield step("hugetlb_walk", () => k.tables.find(k.mms.pgd(mm), PMD_LEVEL, at));
    if (ptep === 0) continue;
    const ptl = k.tables.ptl(k.tables.tableOf(ptep));
    yield spinLock(ptl);
    const cleared = yield step("huge_ptep_get_and_clear", () => clear(k, ptep, dropMarkers));
    yield spinUnlock(ptl);
    if (cleared === NONE) continue;
    if ((cleared & PRESENT) !== 0) tlb.removeEntry(vpn, span);
    const pfn = Math.floor(cleared / BITS);
    if (pfn !== 0) tlb.removePage(pfn);
  }
  if (k.profile.hugetlbNestedRange) yield* k.bus.invalidateRangeEnd(range);
  yield* tlb.endVma();
}

function clear(k: Kernel, ptep: Ptep, dropMarkers: boolean): number {
  const pte = k.tables.get(ptep);
  if (pteNone(pte)) return NONE;
  const keeps = !dropMarkers && (isPteMarker(pte) ? swpType(pte) === SWP_MARKER_UFFD_WP : pteUffdWp(pte));
  k.tables.set(ptep, keeps ? mkSwp(SWP_MARKER_UFFD_WP, 0) : 0);
  if (isPteMarker(pte) || isMigrationEntry(pte)) return 0;
  const pfn = ptePresent(pte) ? ptePfn(pte) : swpOffset(pte);
  if (!k.pages.test(pfn, PG_ANON) && ptePresent(pte) && k.pte.dirty(pte)) k.pages.mark(pfn, PG_DIRTY);
  if (k.pages.entireMapcount(pfn) > 0) folioRemoveRmapEntire(k, pfn);
  return pfn * BITS + (ptePresent(pte) ? PRESENT : 0);
}
