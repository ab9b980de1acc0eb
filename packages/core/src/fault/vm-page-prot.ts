import { INODE_DAX, INODE_DISK } from "../file.js";
import type { Kernel } from "../kernel.js";
import { since } from "../kernel-profile.js";
import type { Pte } from "../pte.js";
import { VM_HUGETLB, VM_SHARED, VM_SOFTDIRTY, VM_UFFD_WP, VM_WRITE } from "../vma.js";

/**
 * vma_wants_writenotify(): the first write to each page of a shared mapping must fault, because the file system, soft-dirty
 * tracking or userfaultfd wants to hear of it.
 *
 * @param kind what backs the VMA: an INODE_ number, or 0
 */
export function vmaWantsWritenotify(k: Kernel, vmFlags: number, kind: number): boolean {
  if ((vmFlags & (VM_WRITE | VM_SHARED)) !== (VM_WRITE | VM_SHARED)) return false;
  if (kind === INODE_DISK || kind === INODE_DAX) return true;
  if (k.config.softDirty && (vmFlags & (VM_SOFTDIRTY | VM_HUGETLB)) === 0) return true;
  return (vmFlags & VM_UFFD_WP) !== 0 && since(k.profile, 6, 1);
}

/** vma->vm_page_prot: the rights that a fresh entry of the VMA gets. A function of the VMA's flags and backing. */
export function vmPageProt(k: Kernel, vmFlags: number, kind: number): Pte {
  return k.pte.pageProt(vmaWantsWritenotify(k, vmFlags, kind) ? vmFlags & ~VM_SHARED : vmFlags);
}

/** What backs `vma`: an INODE_ number, or 0 for anonymous memory. To be called inside a step. */
export function vmaKind(k: Kernel, vma: number): number {
  const file = k.vmas.file(vma);
  return file === 0 ? 0 : k.files.kind(k.files.inode(file));
}

/** {@link vmPageProt} of a VMA, inside a step. */
export function vmPageProtOf(k: Kernel, vma: number): Pte {
  return vmPageProt(k, k.vmas.flags(vma), vmaKind(k, vma));
}
