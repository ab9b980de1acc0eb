import type { Kernel } from "../kernel.js";
import { since } from "../kernel-profile.js";
import { vmaWantsWritenotify } from "../fault/vm-page-prot.js";
import { INODE_DAX, INODE_DISK } from "../file.js";
import { PG_ANON } from "../page.js";
import { type Pte, PTE_SOFT_DIRTY, pteProtnone, ptePfn, pteSpecial, pteUffdWp } from "../pte.js";
import { VM_SHARED, VM_SOFTDIRTY, VM_UFFD_WP, VM_WRITE } from "../vma.js";

/** What change_protection() is to do besides setting rights: MM_CP_ flags. */
export interface ChangeProtection {
  /** vm_page_prot of the VMA, or what NUMA hinting wants. */
  readonly newprot: Pte;
  readonly uffdWp: boolean;
  readonly uffdWpResolve: boolean;
  /** Entries that may be writable without a fault get writable at once. */
  readonly tryChangeWritable: boolean;
  readonly numa: boolean;
  /** vm_flags of the VMA, already the new ones. */
  readonly vmFlags: number;
  /** What backs the VMA: an INODE_ number or 0. */
  readonly kind: number;
}

/**
 * vma_wants_manual_pte_write_upgrade(): vm_page_prot alone does not give the right to write, so each entry is looked at. For
 * shared mappings only where the file system wants to hear of first writes: for the other reasons the kernel compares page
 * protections that differ at this point.
 */
export function wantsManualWriteUpgrade(k: Kernel, vmFlags: number, kind: number): boolean {
  if ((vmFlags & VM_SHARED) === 0) return (vmFlags & VM_WRITE) !== 0 && since(k.profile, 6, 0);
  return (kind === INODE_DISK || kind === INODE_DAX) && vmaWantsWritenotify(k, vmFlags, kind);
}

/** can_change_pte_writable(), can_change_pmd_writable(). Inside a step. */
export function canChangeWritable(k: Kernel, change: ChangeProtection, pte: Pte): boolean {
  const { vmFlags } = change;
  if ((vmFlags & VM_WRITE) === 0 || pteProtnone(pte)) return false;
  if (softDirtyEnabled(k, vmFlags) && (pte & PTE_SOFT_DIRTY) === 0) return false;
  if ((vmFlags & VM_UFFD_WP) !== 0 && pteUffdWp(pte)) return false;
  if ((vmFlags & VM_SHARED) !== 0) return k.pte.dirty(pte);
  if (!since(k.profile, 6, 2) && !k.pte.dirty(pte)) return false;
  if (pteSpecial(pte)) return false;
  const pfn = ptePfn(pte);
  return k.pages.test(pfn, PG_ANON) && k.pages.anonExclusive(pfn);
}

/** vma_soft_dirty_enabled(): the VMA was cleared and its writes are tracked. */
function softDirtyEnabled(k: Kernel, vmFlags: number): boolean {
  return k.config.softDirty && k.arch.softDirty && (vmFlags & VM_SOFTDIRTY) === 0;
}
