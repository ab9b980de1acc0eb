import { downWrite, type Path, step, upWrite } from "@mmu-notifier/steps";
import type { Kernel } from "../kernel.js";

/** The locks that make a change of VMA ranges invisible to rmap walks: what vma_prepare() takes. Zero for none. */
export interface RmapLocks {
  readonly inode: number;
  readonly anonVma: number;
}

/** The inode that `vma` maps, or 0; a step. */
export function* vmaInode(k: Kernel, vma: number): Path<number> {
  return yield step("vma->vm_file->f_mapping", () => {
    const file = k.vmas.file(vma);
    return file === 0 ? 0 : k.files.inode(file);
  });
}

/** vma_prepare(), take_rmap_locks(): i_mmap_rwsem and then the anon_vma's, for writing. */
export function* takeRmapLocks(k: Kernel, inode: number, anonVma: number): Path<RmapLocks> {
  if (inode !== 0) yield downWrite(k.files.iMmapLock(inode));
  if (anonVma === 0) return { inode, anonVma: 0 };
  // The lock is the root's, and which row that is can change only under mmap_lock.
  const root = yield step("anon_vma->root", () => k.anonVmas.root(anonVma));
  yield downWrite(k.anonVmas.lockOfRoot(root));
  return { inode, anonVma: root };
}

/** vma_complete(), drop_rmap_locks(). */
export function* dropRmapLocks(k: Kernel, locks: RmapLocks): Path {
  if (locks.anonVma !== 0) yield upWrite(k.anonVmas.lockOfRoot(locks.anonVma));
  if (locks.inode !== 0) yield upWrite(k.files.iMmapLock(locks.inode));
}
