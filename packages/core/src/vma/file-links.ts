import type { Kernel } from "../kernel.js";

/** How files know the VMAs that map them. All functions are parts of steps. */

function treeOf(k: Kernel, vma: number): number {
  return k.files.iMmap(k.files.inode(k.vmas.file(vma)));
}

/** vma_link_file(). */
export function vmaLinkFile(k: Kernel, vma: number): void {
  if (k.vmas.file(vma) !== 0) k.files.mappings.insert(treeOf(k, vma), vma);
}

/** What dup_mmap() does: the child's VMA comes right behind its parent's. */
export function vmaLinkFileAfter(k: Kernel, vma: number, parent: number): void {
  if (k.vmas.file(vma) !== 0) k.files.mappings.insertAfter(treeOf(k, vma), vma, parent);
}

/** unlink_file_vma(). */
export function unlinkFileVma(k: Kernel, vma: number): void {
  if (k.vmas.file(vma) !== 0) k.files.mappings.remove(treeOf(k, vma), vma);
}

/** vma_prepare() and vma_complete(): the place among equals changes with the range. */
export function fileTreeUpdate(k: Kernel, vma: number): void {
  unlinkFileVma(k, vma);
  vmaLinkFile(k, vma);
}

/** vma_interval_tree_foreach(), one step: the VMA of the inode behind `after` (0: the first) that `suits`; 0 for none. */
export function nextFileVma(k: Kernel, inode: number, after: number, suits: (vma: number) => boolean): number {
  return k.files.mappings.next(k.files.iMmap(inode), after, (vma) => k.vmas.pgoff(vma), suits);
}

/** The file page behind the last that `vma` maps. */
export function lastIndex(k: Kernel, vma: number): number {
  return k.vmas.pgoff(vma) + (k.vmas.end(vma) - k.vmas.start(vma));
}
