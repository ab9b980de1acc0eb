import { call, type Path, step } from "@mmu-notifier/steps";
import { EAGAIN, EBUSY, EINVAL, ENOMEM } from "../errno.js";
import { INODE_SHMEM } from "../file.js";
import { vmaThpDisabled } from "../huge/thp-eligible.js";
import { vmaKind } from "../fault/vm-page-prot.js";
import type { Kernel } from "../kernel.js";
import { since } from "../kernel-profile.js";
import type { Thread } from "../thread.js";
import { VM_HUGETLB, VM_SPECIAL } from "../vma.js";
import { collapseFile } from "./collapse-file.js";
import { collapseHugePage } from "./collapse-huge-page.js";
import { collapsePteMappedThp } from "./collapse-pte-mapped-thp.js";
import {
  pmdState,
  SCAN_ALLOC_HUGE_PAGE_FAIL,
  SCAN_BUSY,
  SCAN_EXCEED_NONE_PTE,
  SCAN_FAIL,
  SCAN_PMD_MAPPED,
  SCAN_PTE_MAPPED_HUGEPAGE,
  SCAN_STOP,
  SCAN_SUCCEED,
  SCAN_SWAPPED,
  SCAN_VMA_CHECK,
  scanPmd,
} from "./scan-pmd.js";

/** Results after which no other block is tried. */
const ENDS: ReadonlySet<number> = new Set([SCAN_VMA_CHECK, SCAN_STOP, SCAN_EXCEED_NONE_PTE, SCAN_ALLOC_HUGE_PAGE_FAIL]);

/**
 * MADV_COLLAPSE of pages [start, end) of `vma`: every whole block in it becomes a huge page now, whatever sysfs says. mmap_lock
 * is held for reading and may be dropped in between.
 *
 * @returns 0 if all are huge afterwards, or -errno of the last that is not
 */
export function madviseCollapse(k: Kernel, t: Thread, vma: number, start: number, end: number): Path<number> {
  return call("madvise_collapse", collapse(k, t, vma, start, end));
}

function* collapse(k: Kernel, t: Thread, vma: number, start: number, end: number): Path<number> {
  const eligible = yield step("thp_vma_allowable_order", () => (isEligible(k, vma) ? 1 : 0));
  if (eligible === 0) return -EINVAL;
  const span = k.tables.hugePages;
  const from = Math.ceil(start / span) * span;
  const to = end - (end % span);
  // A range inside one block counts as a block that was not made.
  let failed = from > to ? SCAN_FAIL : SCAN_SUCCEED;
  for (let base = from; base < to; base += span) {
    const result = yield* collapseBlock(k, t, vma, base);
    if (result === SCAN_SUCCEED || result === SCAN_PMD_MAPPED) continue;
    failed = result;
    if (ENDS.has(result)) break;
  }
  switch (failed) {
    case SCAN_SUCCEED:
      return 0;
    case SCAN_BUSY:
      return -EAGAIN;
    case SCAN_ALLOC_HUGE_PAGE_FAIL:
      return -ENOMEM;
    case SCAN_EXCEED_NONE_PTE:
      return since(k.profile, 6, 4) ? -EBUSY : -EINVAL;
    default:
      return -EINVAL;
  }
}

/** Anonymous memory that was written to, or shmem; a whole block must fit. Inside a step. */
function isEligible(k: Kernel, vma: number): boolean {
  const flags = k.vmas.flags(vma);
  const span = k.tables.hugePages;
  if (vmaThpDisabled(k, k.vmas.mm(vma), flags) || (flags & (VM_SPECIAL | VM_HUGETLB)) !== 0) return false;
  const last = k.vmas.end(vma) - (k.vmas.end(vma) % span) - span;
  if (last < k.vmas.start(vma)) return false;
  const kind = vmaKind(k, vma);
  if (kind === 0) return k.vmas.anonVma(vma) !== 0;
  return kind === INODE_SHMEM && (k.vmas.start(vma) - k.vmas.pgoff(vma)) % span === 0;
}

function* collapseBlock(k: Kernel, t: Thread, vma: number, base: number): Path<number> {
  const file = yield step("vma->vm_file", () => k.vmas.file(vma));
  if (file === 0) {
    const scanned = yield step("hpage_collapse_scan_pmd", () => scanPmd(k, vma, base));
    if (scanned !== SCAN_SUCCEED && scanned !== SCAN_SWAPPED) return scanned;
    return yield* collapseHugePage(k, t, vma, base, scanned);
  }
  const mapped = yield step("find_pmd_or_thp_or_none", () => pmdState(k, t.mm, base));
  if (mapped === SCAN_PMD_MAPPED) return mapped;
  const inode = yield step("file->f_mapping", () => k.files.inode(file));
  const first = yield step("linear_page_index", () => k.vmas.linearIndex(vma, base));
  const result = yield* collapseFile(k, t.cpu, inode, first);
  return result === SCAN_PTE_MAPPED_HUGEPAGE ? yield* collapsePteMappedThp(k, t.cpu, vma, base) : result;
}
