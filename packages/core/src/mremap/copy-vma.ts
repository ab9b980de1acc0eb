import { type Path, step } from "@mmu-notifier/steps";
import type { Kernel } from "../kernel.js";
import { anonVmaClone } from "../vma/anon-vma-links.js";
import { vmaLinkFile } from "../vma/file-links.js";
import { vmaMergeNewRange } from "../vma/merge.js";
import { vmaShape } from "../vma/modify.js";
import { dropRmapLocks, takeRmapLocks, vmaInode } from "../vma/rmap-locks.js";

/** What copy_vma() made. */
export interface CopiedVma {
  /** The VMA at the new place. */
  readonly to: number;
  /** The VMA at the old place: the same as `to` when the two have merged. */
  readonly from: number;
  /** Page tables must be moved under the rmap locks: a walk would meet the new place before the old. */
  readonly needRmapLocks: boolean;
}

/**
 * copy_vma(): a VMA over `pages` pages from page `newStart` with what `vma` has from page `oldStart` on; a neighbour there grows
 * if it fits. mmap_lock held for writing, the place is free.
 */
export function* copyVma(
  k: Kernel,
  cpu: number,
  vma: number,
  oldStart: number,
  newStart: number,
  pages: number,
): Path<CopiedVma> {
  const mm = yield step("vma->vm_mm", () => k.vmas.mm(vma));
  const file = yield step("vma->vm_file", () => k.vmas.file(vma));
  const anonVma = yield step("vma->anon_vma", () => k.vmas.anonVma(vma));
  const linear = yield step("linear_page_index", () => k.vmas.linearIndex(vma, oldStart));
  // Nothing mapped yet: the file page is free to follow the address, which lets it merge.
  const pgoff = file === 0 && anonVma === 0 ? newStart : linear;
  const shape = yield* vmaShape(k, vma);
  const range = { ...shape, start: newStart, end: newStart + pages, pgoff, file, anonVma, copiedFrom: vma };
  const merged = yield* vmaMergeNewRange(k, cpu, mm, range);
  if (merged !== 0) {
    const self = yield step("vma_start in new_vma", () =>
      k.vmas.start(merged) <= oldStart && oldStart < k.vmas.end(merged) ? 1 : 0,
    );
    const from = self !== 0 ? merged : vma;
    const locks = yield step("need_rmap_locks", () => (k.vmas.pgoff(merged) <= k.vmas.pgoff(from) ? 1 : 0));
    return { to: merged, from, needRmapLocks: locks !== 0 };
  }
  const inode = yield* vmaInode(k, vma);
  const locks = yield* takeRmapLocks(k, inode, anonVma);
  const to = yield step("vm_area_dup", () => {
    const copy = k.vmas.dup(vma);
    k.vmas.setRange(copy, newStart, newStart + pages, pgoff);
    anonVmaClone(k, copy);
    vmaLinkFile(k, copy);
    if (file !== 0) k.files.get(file);
    if (k.vmas.uffd(copy) !== 0) k.uffds.get(k.vmas.uffd(copy));
    if (k.vmas.private(copy) !== 0) k.hugetlb.getMap(k.vmas.private(copy));
    k.vmas.insert(k.mms.vmaList(mm), copy);
    return copy;
  });
  yield* dropRmapLocks(k, locks);
  return { to, from: vma, needRmapLocks: false };
}
