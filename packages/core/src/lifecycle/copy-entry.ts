import { getHugeZeroPfn, isHugeZeroPmd } from "../huge/huge-zero.js";
import type { Kernel } from "../kernel.js";
import { MMF_HAS_PINNED } from "../mm.js";
import { PG_ANON } from "../page.js";
import type { Ptep } from "../page-table.js";
import {
  isMigrationEntry,
  isPteMarker,
  isSwapPte,
  mkPte,
  mkSwp,
  PTE_HUGE,
  PTE_UFFD_WP,
  pteClearUffdWp,
  pteMkold,
  ptePfn,
  ptePresent,
  pteSpecial,
  pteUffdWp,
  pteWrite,
  SWP_DEVICE_EXCLUSIVE_READ,
  SWP_DEVICE_EXCLUSIVE_WRITE,
  SWP_DEVICE_READ,
  SWP_DEVICE_WRITE,
  SWP_EXCLUSIVE,
  SWP_HWPOISON,
  SWP_MARKER_GUARD,
  SWP_MARKER_POISONED,
  SWP_MIGRATION_READ,
  SWP_MIGRATION_READ_EXCLUSIVE,
  SWP_MIGRATION_WRITE,
  SWP_SWAP,
  swpOffset,
  swpType,
  type Pte,
} from "../pte.js";
import { folioAddRmap, folioAddRmapEntire, folioAddNewAnonRmap } from "../rmap/rmap.js";
import { isCowMapping, VM_SHARED, VM_UFFD_WP } from "../vma.js";
import { restoreExclusivePte } from "../fault/device-exclusive.js";
import { vmaKind, vmPageProtOf } from "../fault/vm-page-prot.js";

/** The child has the entry. */
export const COPIED = 0;
/** The child got a page of its own, the one that was passed. */
const USED_SPARE = 1;
/** The page is pinned and none was passed for a copy. */
export const NEEDS_PAGE = 2;
/** The huge page is pinned. */
export const NEEDS_SPLIT = 3;

/** folio_needs_cow_for_dma(): a device may write to the page behind the tables' back. Inside a step. */
export function needsCowForDma(k: Kernel, src: number, pfn: number): boolean {
  return (k.mms.flags(k.vmas.mm(src)) & MMF_HAS_PINNED) !== 0 && k.pages.pincount(pfn) > 0;
}

/** copy_present_pte(), copy_nonpresent_pte(): one entry of the parent into the child, both locked. Inside a step. */
export function copyEntry(
  k: Kernel,
  dst: number,
  src: number,
  to: Ptep,
  from: Ptep,
  vpn: number,
  spare: number,
): number {
  let pte = k.tables.get(from);
  if (isDeviceExclusive(pte)) {
    // Comes back to the parent first, and is then shared like any present page.
    pte = restoreExclusivePte(k, k.vmas.flags(src), vmaKind(k, src), pte);
    k.tables.set(from, pte);
  }
  if (!ptePresent(pte)) {
    copyNonPresent(k, dst, to, from, pte);
    return COPIED;
  }
  if (pteSpecial(pte)) {
    share(k, dst, src, to, from, pte);
    return COPIED;
  }
  const pfn = ptePfn(pte);
  if (k.pages.test(pfn, PG_ANON)) {
    if (k.pages.anonExclusive(pfn) && needsCowForDma(k, src, pfn)) {
      if (spare === 0) return NEEDS_PAGE;
      copyPresentPage(k, dst, to, pte, vpn, spare);
      return USED_SPARE;
    }
    k.pages.setAnonExclusive(pfn, false);
  }
  k.pages.get(pfn);
  folioAddRmap(k, pfn);
  share(k, dst, src, to, from, pte);
  return COPIED;
}

/** copy_present_page(): the child gets a copy now, the parent keeps its entry as it is. */
function copyPresentPage(k: Kernel, dst: number, to: Ptep, pte: Pte, vpn: number, page: number): void {
  k.pages.setContent(page, k.pages.content(ptePfn(pte)));
  folioAddNewAnonRmap(k, page, dst, vpn);
  const entry = k.pte.maybeMkwrite(k.pte.mkdirty(mkPte(page, vmPageProtOf(k, dst))), k.vmas.flags(dst));
  k.tables.set(to, pteUffdWp(pte) && k.vmas.has(dst, VM_UFFD_WP) ? entry | PTE_UFFD_WP : entry);
}

/** __copy_present_ptes(): read-only in both if it is copied on write; the child's is old, and clean if it is shared. */
function share(k: Kernel, dst: number, src: number, to: Ptep, from: Ptep, pte: Pte): void {
  const flags = k.vmas.flags(src);
  let entry = pte;
  if (isCowMapping(flags) && pteWrite(entry)) {
    k.tables.set(from, k.pte.wrprotect(entry));
    entry = k.pte.wrprotect(entry);
  }
  if ((flags & VM_SHARED) !== 0) entry = k.pte.mkclean(entry);
  entry = pteMkold(entry);
  if (!k.vmas.has(dst, VM_UFFD_WP)) entry = pteClearUffdWp(entry);
  k.tables.set(to, entry);
}

const SHARED_TYPE: Readonly<Record<number, number>> = {
  [SWP_MIGRATION_READ_EXCLUSIVE]: SWP_MIGRATION_READ,
  [SWP_MIGRATION_WRITE]: SWP_MIGRATION_READ,
  [SWP_DEVICE_WRITE]: SWP_DEVICE_READ,
};

function isDeviceExclusive(pte: Pte): boolean {
  if (!isSwapPte(pte)) return false;
  const type = swpType(pte);
  return type === SWP_DEVICE_EXCLUSIVE_READ || type === SWP_DEVICE_EXCLUSIVE_WRITE;
}

function copyNonPresent(k: Kernel, dst: number, to: Ptep, from: Ptep, pte: Pte): void {
  if (isPteMarker(pte)) {
    const type = swpType(pte);
    if (type === SWP_MARKER_GUARD || type === SWP_MARKER_POISONED || k.vmas.has(dst, VM_UFFD_WP)) k.tables.set(to, pte);
    return;
  }
  const type = swpType(pte);
  const offset = swpOffset(pte);
  let entry = pte;
  if (type === SWP_SWAP) {
    k.swap.get(offset);
    if ((pte & SWP_EXCLUSIVE) !== 0) {
      entry = pte & ~SWP_EXCLUSIVE;
      k.tables.set(from, entry);
    }
  } else if (type !== SWP_HWPOISON) {
    if (!isMigrationEntry(pte)) {
      k.pages.get(offset);
      folioAddRmap(k, offset);
      k.pages.setAnonExclusive(offset, false);
    }
    const shared = SHARED_TYPE[type];
    if (shared !== undefined && isCowMapping(k.vmas.flags(dst))) {
      entry = mkSwp(shared, offset, pte & PTE_UFFD_WP);
      k.tables.set(from, entry);
    }
  }
  if (!k.vmas.has(dst, VM_UFFD_WP)) entry &= ~PTE_UFFD_WP;
  k.tables.set(to, entry);
}

/** copy_huge_pmd(): one huge entry, both locked; a file's is left for the child to fault in. Inside a step. */
export function copyHugeEntry(k: Kernel, dst: number, src: number, to: Ptep, from: Ptep, _vpn: number): number {
  const pmd = k.tables.get(from);
  if (k.vmas.file(src) !== 0) return COPIED;
  if (!ptePresent(pmd)) {
    const head = swpOffset(pmd);
    const entry = mkSwp(SWP_MIGRATION_READ, head, pmd & (PTE_UFFD_WP | PTE_HUGE));
    k.tables.set(from, entry);
    k.tables.set(to, k.vmas.has(dst, VM_UFFD_WP) ? entry : entry & ~PTE_UFFD_WP);
    return COPIED;
  }
  const pfn = ptePfn(pmd);
  if (isHugeZeroPmd(k, pmd)) getHugeZeroPfn(k);
  else {
    if (k.pages.anonExclusive(pfn) && needsCowForDma(k, src, pfn)) return NEEDS_SPLIT;
    k.pages.setAnonExclusive(pfn, false);
    k.pages.get(pfn);
    folioAddRmapEntire(k, pfn);
  }
  const entry = k.pte.wrprotect(pmd);
  k.tables.set(from, entry);
  const old = pteMkold(entry);
  k.tables.set(to, k.vmas.has(dst, VM_UFFD_WP) ? old : pteClearUffdWp(old));
  return COPIED;
}
