import { INODE_DAX } from "../file.js";
import type { Kernel } from "../kernel.js";
import { MMF_DISABLE_THP } from "../mm.js";
import { PMD_LEVEL } from "../page-table.js";
import { VM_HUGEPAGE, VM_HUGETLB, VM_NOHUGEPAGE, VM_SPECIAL } from "../vma.js";

/** thp_vma_suitable_order(): the aligned huge block around `vpn` lies in the VMA, and a file's pages are aligned alike. Inside a step. */
export function thpVmaSuitable(k: Kernel, vma: number, vpn: number): boolean {
  const pages = k.tables.hugePages;
  const base = vpn - (vpn % pages);
  if (base < k.vmas.start(vma) || base + pages > k.vmas.end(vma)) return false;
  return k.vmas.file(vma) === 0 || (k.vmas.start(vma) - k.vmas.pgoff(vma)) % pages === 0;
}

/** vma_thp_disabled(): MADV_NOHUGEPAGE or prctl(PR_SET_THP_DISABLE). Inside a step. */
export function vmaThpDisabled(k: Kernel, mm: number, vmFlags: number): boolean {
  return (vmFlags & VM_NOHUGEPAGE) !== 0 || (k.mms.flags(mm) & MMF_DISABLE_THP) !== 0;
}

/**
 * thp_vma_allowable_order() in a page fault, as far as the VMA's flags say: whether a PMD-sized mapping may be tried at all.
 * Anonymous memory follows sysfs and MADV_HUGEPAGE; a DAX file decides by its blocks; other files have no huge_fault handler.
 * Pure; {@link vmaThpDisabled} comes on top.
 */
export function thpAllowedByFlags(k: Kernel, vmFlags: number, kind: number): boolean {
  if (k.tables.top < PMD_LEVEL) return false;
  if (kind === INODE_DAX) return true;
  if (kind !== 0 || (vmFlags & (VM_SPECIAL | VM_HUGETLB)) !== 0) return false;
  return k.config.thp === "always" || (k.config.thp === "madvise" && (vmFlags & VM_HUGEPAGE) !== 0);
}
