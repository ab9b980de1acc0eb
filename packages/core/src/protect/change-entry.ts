import type { Kernel } from "../kernel.js";
import { since } from "../kernel-profile.js";
import { PG_ANON } from "../page.js";
import type { Ptep } from "../page-table.js";
import {
  isPteMarker,
  isSwapPte,
  mkSwp,
  type Pte,
  PTE_DIRTY,
  PTE_HUGE,
  PTE_UFFD_WP,
  pteClearUffdWp,
  ptePresent,
  pteWrite,
  SWP_DEVICE_EXCLUSIVE_READ,
  SWP_DEVICE_EXCLUSIVE_WRITE,
  SWP_DEVICE_READ,
  SWP_DEVICE_WRITE,
  SWP_MARKER_UFFD_WP,
  SWP_MIGRATION_READ,
  SWP_MIGRATION_READ_EXCLUSIVE,
  SWP_MIGRATION_WRITE,
  swpOffset,
  swpType,
} from "../pte.js";
import { UFFD_FEATURE_WP_UNPOPULATED } from "../userfaultfd.js";
import { VM_HUGETLB, VM_UFFD_WP } from "../vma.js";
import { canChangeWritable, type ChangeProtection } from "./change-flags.js";

/** userfaultfd_wp_use_markers(): write protection covers what is not populated. Inside a step. */
export function wpUsesMarkers(k: Kernel, vma: number): boolean {
  if (!k.vmas.has(vma, VM_UFFD_WP)) return false;
  if (k.vmas.file(vma) !== 0) return since(k.profile, 5, 19);
  const uffd = k.vmas.uffd(vma);
  return since(k.profile, 6, 4) && uffd !== 0 && k.uffds.has(uffd, UFFD_FEATURE_WP_UNPOPULATED);
}

/** A present entry with new rights, as change_pte_range() and change_huge_pmd() make it. Inside a step. */
export function changedEntry(k: Kernel, before: Pte, change: ChangeProtection): Pte {
  return writableIfAllowed(k, modifiedEntry(k, before, change), change);
}

/** {@link changedEntry} without the upgrade to writable. */
export function modifiedEntry(k: Kernel, before: Pte, change: ChangeProtection): Pte {
  const huge = (before & PTE_HUGE) !== 0 && (change.vmFlags & VM_HUGETLB) === 0;
  let pte = k.pte.modify(before, change.newprot);
  if (huge && k.profile.x86PmdModifyDropsDirty && k.arch.writeEncoding === "direct") pte &= ~PTE_DIRTY;
  if (change.uffdWp) pte = k.pte.mkuffdWp(k.pte.wrprotect(pte));
  else if (change.uffdWpResolve) pte = pteClearUffdWp(pte);
  else if ((pte & PTE_UFFD_WP) !== 0 && since(k.profile, 6, 4)) pte = k.pte.wrprotect(pte);
  return pte;
}

function writableIfAllowed(k: Kernel, pte: Pte, change: ChangeProtection): Pte {
  // Huge entries are looked at since v6.2 only.
  if (!change.tryChangeWritable || pteWrite(pte) || ((pte & PTE_HUGE) !== 0 && !since(k.profile, 6, 2))) return pte;
  return canChangeWritable(k, change, pte) ? k.pte.mkwrite(pte) : pte;
}

/** A non-present or empty entry, as change_pte_range() changes it; the same when nothing changes. Inside a step. */
export function changedNonPresent(k: Kernel, vma: number, before: Pte, change: ChangeProtection): Pte {
  if (before === 0) return change.uffdWp && wpUsesMarkers(k, vma) ? mkSwp(SWP_MARKER_UFFD_WP, 0) : 0;
  if (isPteMarker(before)) return change.uffdWpResolve && swpType(before) === SWP_MARKER_UFFD_WP ? 0 : before;
  const pte = readable(k, before);
  if (change.uffdWp) return k.pte.mkuffdWp(pte);
  return change.uffdWpResolve ? pte & ~PTE_UFFD_WP : pte;
}

/** Writable migration and device entries lose the right: whether it is due is decided when the page is mapped again. */
function readable(k: Kernel, pte: Pte): Pte {
  const offset = swpOffset(pte);
  const flags = pte & PTE_UFFD_WP;
  switch (swpType(pte)) {
    case SWP_MIGRATION_WRITE:
      return mkSwp(k.pages.test(offset, PG_ANON) ? SWP_MIGRATION_READ_EXCLUSIVE : SWP_MIGRATION_READ, offset, flags);
    case SWP_DEVICE_WRITE:
      return mkSwp(SWP_DEVICE_READ, offset, flags);
    case SWP_DEVICE_EXCLUSIVE_WRITE:
      return mkSwp(SWP_DEVICE_EXCLUSIVE_READ, offset, flags);
    default:
      return pte;
  }
}

/** True when change_pte_range() has something to do for the entry: it rewrites every present one. Inside a step. */
export function touchesEntry(k: Kernel, vma: number, ptep: Ptep, change: ChangeProtection): boolean {
  const pte = k.tables.get(ptep);
  if (ptePresent(pte)) return true;
  return (isSwapPte(pte) || change.uffdWp) && changedNonPresent(k, vma, pte, change) !== pte;
}
