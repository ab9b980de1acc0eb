import { call, downRead, downWrite, type Path, step, upRead, upWrite } from "@mmu-notifier/steps";
import { PAGE_SIZE } from "../geometry.js";
import { unmapHugepageRangeLocked } from "../hugetlb/unmap-hugetlb.js";
import type { Kernel } from "../kernel.js";
import { tlbGatherMmu } from "../tlb/mmu-gather.js";
import type { ZapDetails } from "../unmap/zap-details.js";
import { zapPageRangeSingle } from "../unmap/zap-single.js";
import { lastIndex, nextFileVma } from "../vma/file-links.js";

/**
 * unmap_mapping_range(): pages [first, end) of a file leave every address space, each VMA under a CLEAR range of its own, in the
 * order of the file's interval tree.
 */
export function unmapMappingRange(
  k: Kernel,
  cpu: number,
  inode: number,
  first: number,
  end: number,
  details: ZapDetails,
): Path {
  return call("unmap_mapping_range", unmapRange(k, cpu, inode, first, end, details));
}

function* unmapRange(k: Kernel, cpu: number, inode: number, first: number, end: number, details: ZapDetails): Path {
  yield downRead(k.files.iMmapLock(inode));
  for (let vma = 0; ;) {
    const after = vma;
    vma = yield step("vma_interval_tree_foreach", () => nextVma(k, inode, first, end, after));
    if (vma === 0) break;
    const [from, to] = yield* partOf(k, vma, first, end);
    yield* zapPageRangeSingle(k, cpu, vma, from, to, details);
  }
  yield upRead(k.files.iMmapLock(inode));
}

/** hugetlb_vmdelete_list(): the same for a hugetlbfs file, with i_mmap_rwsem held for writing. Markers go with the end of the file only. */
export function* unmapHugetlbMapping(k: Kernel, cpu: number, inode: number, first: number, end: number): Path {
  yield downWrite(k.files.iMmapLock(inode));
  for (let vma = 0; ;) {
    const after = vma;
    vma = yield step("vma_interval_tree_foreach", () => nextVma(k, inode, first, end, after));
    if (vma === 0) break;
    const [from, to] = yield* partOf(k, vma, first, end);
    yield* call("unmap_hugepage_range", unmapHugepages(k, cpu, vma, from, to, end === Infinity));
  }
  yield upWrite(k.files.iMmapLock(inode));
}

function* unmapHugepages(k: Kernel, cpu: number, vma: number, start: number, end: number, dropMarkers: boolean): Path {
  const mm = yield step("vma->vm_mm", () => k.vmas.mm(vma));
  const range = { mm, start: start * PAGE_SIZE, end: end * PAGE_SIZE, event: k.profile.hugetlbTruncateEvent } as const;
  // Where __unmap_hugepage_range() announces the range by itself, its caller does not.
  const announces = !k.profile.hugetlbNestedRange;
  if (announces) yield* k.bus.invalidateRangeStart(range);
  const tlb = yield* tlbGatherMmu(k, cpu, mm);
  yield* unmapHugepageRangeLocked(k, tlb, vma, start, end, dropMarkers);
  if (announces) yield* k.bus.invalidateRangeEnd(range);
  yield* tlb.finish();
}

/** Pages of `vma` that map file pages [first, end). */
function* partOf(k: Kernel, vma: number, first: number, end: number): Path<[number, number]> {
  const from = yield step("zba", () => Math.max(k.vmas.start(vma), k.vmas.start(vma) + first - k.vmas.pgoff(vma)));
  const to = yield step("zea", () => Math.min(k.vmas.end(vma), k.vmas.start(vma) + end - k.vmas.pgoff(vma)));
  return [from, to];
}

/** The VMA after `after` that maps any of pages [first, end); 0 for none. */
function nextVma(k: Kernel, inode: number, first: number, end: number, after: number): number {
  return nextFileVma(k, inode, after, (vma) => k.vmas.pgoff(vma) < end && lastIndex(k, vma) > first);
}
