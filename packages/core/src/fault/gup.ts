import { call, downRead, type Path, step } from "@mmu-notifier/steps";
import { EFAULT, EHWPOISON, ENOMEM, EOPNOTSUPP } from "../errno.js";
import { INODE_DAX, INODE_DISK } from "../file.js";
import { isHugeZeroPmd } from "../huge/huge-zero.js";
import { touchPmdFromGup } from "../huge/touch-pmd.js";
import { splitHugePmd } from "../huge/split-huge-pmd.js";
import type { Kernel } from "../kernel.js";
import { since } from "../kernel-profile.js";
import { MMF_HAS_PINNED } from "../mm.js";
import { PG_ANON, PG_DIRTY } from "../page.js";
import { PTE_LEVEL } from "../page-table.js";
import {
  type Pte,
  PTE_SOFT_DIRTY,
  pteHugeLeaf,
  ptePfn,
  ptePresent,
  pteProtnone,
  pteSpecial,
  pteUffdWp,
  pteWrite,
} from "../pte.js";
import {
  isCowMapping,
  VM_ACCESS_FLAGS,
  VM_HUGETLB,
  VM_IO,
  VM_MAYREAD,
  VM_MAYSHARE,
  VM_MAYWRITE,
  VM_PFNMAP,
  VM_READ,
  VM_SHARED,
  VM_SOFTDIRTY,
  VM_UFFD_WP,
  VM_WRITE,
} from "../vma.js";
import { gupVmaLookup } from "./expand-stack.js";
import { handleMmFault, hugetlbFaultFromGup } from "./handle-mm-fault.js";
import {
  FAULT_FLAG_ALLOW_RETRY,
  FAULT_FLAG_KILLABLE,
  FAULT_FLAG_REMOTE,
  FAULT_FLAG_TRIED,
  FAULT_FLAG_UNSHARE,
  FAULT_FLAG_WRITE,
  VM_FAULT_COMPLETED,
  VM_FAULT_ERROR,
  VM_FAULT_HWPOISON,
  VM_FAULT_HWPOISON_LARGE,
  VM_FAULT_OOM,
  VM_FAULT_RETRY,
  VM_FAULT_WRITE,
} from "./vm-fault.js";
import { vmaKind } from "./vm-page-prot.js";

/** How a page is asked for: the FOLL_ flags. */
export interface GupFlags {
  /** FOLL_WRITE. */
  readonly write?: boolean;
  /** FOLL_FORCE: as a debugger, against the VMA's rights but never against a shared file's. */
  readonly force?: boolean;
  /** FOLL_GET: take a reference. */
  readonly get?: boolean;
  /** FOLL_PIN: take a pin for DMA. Implies a reference. */
  readonly pin?: boolean;
  /** FOLL_LONGTERM: the pin stays. */
  readonly longterm?: boolean;
  /** FOLL_REMOTE: another task's memory. */
  readonly remote?: boolean;
  /** FOLL_SPLIT_PMD: huge entries are split first. */
  readonly splitPmd?: boolean;
  /** The lock must not be dropped on the way. */
  readonly keepLock?: boolean;
  /** When the lock was dropped the caller calls again: no fault is a second try. */
  readonly calledAgain?: boolean;
}

const NO_PAGE = -1_000_001;
const MUST_UNSHARE = -1_000_002;
const MUST_SPLIT = -1_000_003;
/** Added to a frame: touch_pmd() is due. */
const TOUCH = 2 ** 40;

/**
 * get_user_pages() of one page: faults page `vpn` in as far as needed and returns its frame. mmap_lock is held for reading
 * before and after, and may be dropped and taken again between, unless `keepLock`.
 *
 * @returns the frame (with a reference or pin if asked for), or -EFAULT, -ENOMEM, -EHWPOISON, -EOPNOTSUPP
 */
export function getUserPages(k: Kernel, cpu: number, mm: number, vpn: number, flags: GupFlags = {}): Path<number> {
  return call("__get_user_pages", getPage(k, cpu, mm, vpn, flags));
}

function* getPage(k: Kernel, cpu: number, mm: number, vpn: number, flags: GupFlags): Path<number> {
  let tried = 0;
  let cowed = false;
  for (;;) {
    const vma = yield* gupVmaLookup(k, cpu, mm, vpn);
    if (vma === 0) return -EFAULT;
    const refused = yield step("check_vma_flags", () => checkVmaFlags(k, vma, flags));
    if (refused !== 0) return refused;
    const found = yield step("follow_page_mask", () => followPage(k, vma, vpn, flags, cowed));
    if (found === MUST_SPLIT) {
      yield* splitHugePmd(k, cpu, vma, vpn);
      continue;
    }
    if (found >= 0) {
      if (found >= TOUCH) yield* touchPmdFromGup(k, cpu, mm, vpn, flags.write === true);
      return found % TOUCH;
    }
    if (found !== NO_PAGE && found !== MUST_UNSHARE) return found;
    const asked = faultFlags(flags, found === MUST_UNSHARE) | tried;
    const direct =
      !since(k.profile, 6, 5) && (yield step("is_vm_hugetlb_page", () => (k.vmas.has(vma, VM_HUGETLB) ? 1 : 0))) !== 0;
    const result = yield* (direct ? hugetlbFaultFromGup : handleMmFault)(k, cpu, vma, vpn, asked);
    if ((result & VM_FAULT_WRITE) !== 0) cowed = true;
    if ((result & (VM_FAULT_RETRY | VM_FAULT_COMPLETED)) !== 0) {
      yield downRead(k.mms.mmapLock(mm));
      if ((result & VM_FAULT_RETRY) !== 0 && flags.calledAgain !== true) tried = FAULT_FLAG_TRIED;
    } else if ((result & VM_FAULT_ERROR) !== 0) return vmFaultToErrno(result);
  }
}

function faultFlags(flags: GupFlags, unshare: boolean): number {
  return (
    (flags.write === true ? FAULT_FLAG_WRITE : 0) |
    (flags.remote === true ? FAULT_FLAG_REMOTE : 0) |
    (flags.keepLock === true ? 0 : FAULT_FLAG_ALLOW_RETRY | FAULT_FLAG_KILLABLE) |
    (unshare ? FAULT_FLAG_UNSHARE : 0)
  );
}

/** vm_fault_to_errno(). */
function vmFaultToErrno(result: number): number {
  if ((result & VM_FAULT_OOM) !== 0) return -ENOMEM;
  if ((result & (VM_FAULT_HWPOISON | VM_FAULT_HWPOISON_LARGE)) !== 0) return -EHWPOISON;
  return -EFAULT;
}

/** check_vma_flags(): 0, or why pages of this VMA cannot be had. Inside a step. */
function checkVmaFlags(k: Kernel, vma: number, flags: GupFlags): number {
  const vmFlags = k.vmas.flags(vma);
  const kind = vmaKind(k, vma);
  if ((vmFlags & (VM_IO | VM_PFNMAP)) !== 0) return -EFAULT;
  if (flags.longterm === true && kind === INODE_DAX) return -EOPNOTSUPP;
  if (flags.write !== true) {
    if ((vmFlags & VM_READ) !== 0) return 0;
    return flags.force === true && (vmFlags & VM_MAYREAD) !== 0 ? 0 : -EFAULT;
  }
  // Pinned pages of a file with write notification would be written behind its back.
  const notified = kind === INODE_DISK && (vmFlags & VM_SHARED) !== 0;
  if (notified && flags.pin === true && flags.longterm === true && since(k.profile, 6, 5)) return -EFAULT;
  if ((vmFlags & VM_WRITE) !== 0) return 0;
  if (flags.force !== true || ((vmFlags & VM_HUGETLB) !== 0 && !since(k.profile, 6, 14))) return -EFAULT;
  return isCowMapping(vmFlags) ? 0 : -EFAULT;
}

/** follow_page_mask(): the frame if the entry allows what is asked, with references taken; else what has to be done first. */
function followPage(k: Kernel, vma: number, vpn: number, flags: GupFlags, cowed: boolean): number {
  const mm = k.vmas.mm(vma);
  const vmFlags = k.vmas.flags(vma);
  const ptep = k.tables.leaf(k.mms.pgd(mm), vpn);
  if (ptep === 0) return NO_PAGE;
  const pte = k.tables.get(ptep);
  if (!ptePresent(pte)) return NO_PAGE;
  const accessible = (vmFlags & VM_ACCESS_FLAGS) !== 0;
  if (pteProtnone(pte) && accessible) return NO_PAGE;
  const level = k.tables.levelOf(ptep);
  const huge = level !== PTE_LEVEL && pteHugeLeaf(pte);
  if (huge && flags.splitPmd === true && (vmFlags & VM_HUGETLB) === 0) return MUST_SPLIT;
  const page = ptePfn(pte) + (huge ? vpn % k.tables.span[level]! : 0);
  const special = pteSpecial(pte);
  // A DAX entry has a page behind it (pte_devmap); other special entries but those of the zero pages have none.
  const zero = special && (ptePfn(pte) === k.pages.zeroPfn || isHugeZeroPmd(k, pte));
  if (special && !zero && vmaKind(k, vma) !== INODE_DAX) return -EFAULT;
  if (flags.write === true && !canFollowWrite(k, vmFlags, pte, special ? 0 : page, cowed)) return NO_PAGE;
  if (flags.write !== true && flags.pin === true && !pteWrite(pte) && mustUnshare(k, vmFlags, page, flags))
    return MUST_UNSHARE;
  if (flags.get === true || flags.pin === true) grab(k, mm, page, flags);
  if (flags.write === true && !special && !k.pte.dirty(pte)) k.pages.mark(page, PG_DIRTY);
  // follow_huge_pmd() serves hugetlb as well since v6.10.
  return huge && ((vmFlags & VM_HUGETLB) === 0 || since(k.profile, 6, 10)) ? page + TOUCH : page;
}

/**
 * can_follow_write_pte(): the entry is writable, or FOLL_FORCE may write to an exclusive page behind its back. Up to v5.18 a
 * fault that had broken sharing in this call (FOLL_COW) was proof enough.
 */
function canFollowWrite(k: Kernel, vmFlags: number, pte: Pte, page: number, cowed: boolean): boolean {
  if (pteWrite(pte)) return true;
  if (!since(k.profile, 5, 19)) return cowed && (vmFlags & VM_WRITE) === 0 && k.pte.dirty(pte);
  if ((vmFlags & (VM_MAYSHARE | VM_SHARED | VM_WRITE)) !== 0 || (vmFlags & VM_MAYWRITE) === 0) return false;
  if (page === 0 || !k.pages.test(page, PG_ANON) || !anonExclusive(k, pte, page)) return false;
  if (k.config.softDirty && (vmFlags & VM_SOFTDIRTY) === 0 && (pte & PTE_SOFT_DIRTY) === 0) return false;
  return (vmFlags & VM_UFFD_WP) === 0 || !pteUffdWp(pte);
}

/** PageAnonExclusive(): of a huge entry the head carries it. */
function anonExclusive(k: Kernel, pte: Pte, page: number): boolean {
  return k.pages.anonExclusive(pteHugeLeaf(pte) ? k.pages.head(page) : page);
}

/** gup_must_unshare(): a read pin must not take a page that a write would replace. */
function mustUnshare(k: Kernel, vmFlags: number, page: number, flags: GupFlags): boolean {
  if (!since(k.profile, 5, 19)) return false;
  if (!k.pages.test(page, PG_ANON)) return flags.longterm === true && isCowMapping(vmFlags);
  const huge = (vmFlags & VM_HUGETLB) !== 0 || k.pages.entireMapcount(page) > 0;
  return !k.pages.anonExclusive(huge && k.pages.mapcount(page) === 0 ? k.pages.head(page) : page);
}

/** try_grab_folio(). */
function grab(k: Kernel, mm: number, page: number, flags: GupFlags): void {
  k.pages.get(page);
  if (flags.pin !== true) return;
  k.pages.addPincount(page, 1);
  k.mms.setFlag(mm, MMF_HAS_PINNED);
}

/** unpin_user_page(). Inside a step. */
export function unpinUserPage(k: Kernel, page: number): void {
  k.pages.addPincount(page, -1);
  k.pages.put(page);
}
