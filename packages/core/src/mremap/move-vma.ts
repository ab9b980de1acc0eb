import { call, type Path, step } from "@mmu-notifier/steps";
import { EINVAL, ENOMEM } from "../errno.js";
import type { Kernel } from "../kernel.js";
import { unmergeKsmPages } from "../ksm/unmerge.js";
import type { Thread } from "../thread.js";
import { doVmiMunmap } from "../unmap/munmap.js";
import {
  VM_HUGETLB,
  VM_LOCKED,
  VM_LOCKONFAULT,
  VM_MERGEABLE,
  VM_UFFD_MINOR,
  VM_UFFD_MISSING,
  VM_UFFD_WP,
} from "../vma.js";
import { unlinkAnonVmas } from "../vma/anon-vma-links.js";
import { vmaStartWrite } from "../vma/vma-lock.js";
import { copyVma } from "./copy-vma.js";
import { movePageTables } from "./move-page-tables.js";

/** VMAs that a move may need for a moment. */
const MOVE_MAPS = 3;

/**
 * move_vma(): pages [start, start + oldPages) of `vma` to page `to`, where they become `newPages` pages. The old range is
 * announced twice, once for the page tables and once for the unmapping. mmap_lock held for writing.
 *
 * @returns `to`, or -errno
 */
export function moveVma(
  k: Kernel,
  t: Thread,
  vma: number,
  start: number,
  oldPages: number,
  newPages: number,
  to: number,
  dontUnmap: boolean,
): Path<number> {
  return call("move_vma", move(k, t, vma, start, oldPages, newPages, to, dontUnmap));
}

function* move(
  k: Kernel,
  t: Thread,
  vma: number,
  start: number,
  oldPages: number,
  newPages: number,
  to: number,
  dontUnmap: boolean,
): Path<number> {
  const { cpu, mm } = t;
  const error = yield step("prep_move_vma", () => {
    if (k.vmas.count(k.mms.vmaList(mm)) >= k.config.maxMapCount - MOVE_MAPS) return -ENOMEM;
    if (!k.vmas.has(vma, VM_HUGETLB)) return 0;
    const span = k.tables.hugePages;
    const cuts =
      (k.vmas.start(vma) !== start && start % span !== 0) ||
      (k.vmas.end(vma) !== start + oldPages && (start + oldPages) % span !== 0);
    return cuts ? -EINVAL : 0;
  });
  if (error !== 0) return error;
  const mergeable = yield step("ksm_madvise", () => (k.vmas.has(vma, VM_MERGEABLE) ? 1 : 0));
  if (mergeable !== 0) {
    const broken = yield* unmergeKsmPages(k, cpu, vma, start, start + oldPages);
    if (broken !== 0) return broken;
  }
  yield* vmaStartWrite(k, vma);
  const copied = yield* copyVma(k, cpu, vma, start, to, newPages);
  yield* movePageTables(k, cpu, copied.from, copied.to, start, to, oldPages, copied.needRmapLocks);
  yield step("mremap_userfaultfd_prep", () => {
    dropUffd(k, copied.to);
    if (k.vmas.has(copied.to, VM_LOCKED)) k.mms.addLockedVm(mm, newPages);
    moveReservations(k, copied.from);
    return 0;
  });
  if (dontUnmap) {
    yield step("dontunmap_complete", () => {
      completeDontUnmap(k, mm, copied.from, copied.to, start, oldPages);
      return 0;
    });
    return to;
  }
  yield* doVmiMunmap(k, t, start, start + oldPages);
  return to;
}

/** The moved part is not registered any more: no shipped userfaultfd asks for remap events. */
function dropUffd(k: Kernel, vma: number): void {
  const uffd = k.vmas.uffd(vma);
  if (uffd === 0) return;
  k.vmas.setUffd(vma, 0);
  k.vmas.setFlags(vma, k.vmas.flags(vma) & ~(VM_UFFD_MISSING | VM_UFFD_WP | VM_UFFD_MINOR));
  k.uffds.put(uffd);
}

/** clear_vma_resv_huge_pages(): the promises have gone with the copy. */
function moveReservations(k: Kernel, from: number): void {
  const map = k.vmas.has(from, VM_HUGETLB) ? k.vmas.private(from) : 0;
  if (map === 0) return;
  k.hugetlb.putMap(map);
  k.vmas.setPrivate(from, 0);
}

function completeDontUnmap(k: Kernel, mm: number, from: number, to: number, start: number, pages: number): void {
  const flags = k.vmas.flags(from);
  if ((flags & VM_LOCKED) !== 0) k.mms.addLockedVm(mm, -pages);
  k.vmas.setFlags(from, flags & ~(VM_LOCKED | VM_LOCKONFAULT));
  if (from !== to && k.vmas.start(from) === start && k.vmas.end(from) === start + pages) unlinkAnonVmas(k, from);
}
