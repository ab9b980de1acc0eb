import { call, type Path, step } from "@mmu-notifier/steps";
import { EAGAIN, EFAULT, EINVAL, ENOMEM, EPERM } from "../errno.js";
import { INODE_DAX } from "../file.js";
import { vmaKind } from "../fault/vm-page-prot.js";
import { PAGE_SIZE } from "../geometry.js";
import type { Kernel } from "../kernel.js";
import { since } from "../kernel-profile.js";
import { PG_MLOCKED, PG_UNEVICTABLE } from "../page.js";
import { PMD_LEVEL, PTE_LEVEL, type Ptep } from "../page-table.js";
import { pteHugeLeaf, ptePfn, ptePresent, pteSpecial, pteTable } from "../pte.js";
import type { Thread } from "../thread.js";
import { nextPopulatedBlock } from "../unmap/zap-range.js";
import { VM_HUGETLB, VM_LOCKED, VM_LOCKONFAULT, VM_SPECIAL } from "../vma.js";
import { resetFlags, vmaModify, vmaShape } from "../vma/modify.js";
import { taskPages } from "../vma/task-size.js";
import { mmapWriteLock, mmapWriteUnlock, vmaStartWrite } from "../vma/vma-lock.js";
import { MCL_CURRENT, MCL_FUTURE, MCL_ONFAULT, MLOCK_ONFAULT } from "./mman.js";
import { mmPopulate, populate } from "./populate.js";

const LOCKED_MASK = VM_LOCKED | VM_LOCKONFAULT;

/** mlock(2), in bytes: 0 or -errno. */
export function sysMlock(k: Kernel, t: Thread, start: number, length: number): Path<number> {
  return call("do_mlock", mlock(k, t, start, length, VM_LOCKED));
}

/** mlock2(2): with MLOCK_ONFAULT pages are locked as they come. */
export function sysMlock2(k: Kernel, t: Thread, start: number, length: number, flags: number): Path<number> {
  return call("do_mlock", mlock(k, t, start, length, (flags & MLOCK_ONFAULT) !== 0 ? LOCKED_MASK : VM_LOCKED, flags));
}

/** munlock(2). */
export function sysMunlock(k: Kernel, t: Thread, start: number, length: number): Path<number> {
  return call("munlock", munlock(k, t, start, length));
}

/** mlockall(2). */
export function sysMlockall(k: Kernel, t: Thread, flags: number): Path<number> {
  return call("mlockall", mlockall(k, t, flags));
}

/** munlockall(2). */
export function sysMunlockall(k: Kernel, t: Thread): Path<number> {
  return call("munlockall", applyToAll(k, t, 0));
}

/** Whole pages around [start, start + length). */
function pagesAround(start: number, length: number): { readonly from: number; readonly to: number } {
  const from = Math.floor(start / PAGE_SIZE);
  return { from, to: from + Math.ceil((length + (start % PAGE_SIZE)) / PAGE_SIZE) };
}

function* mlock(k: Kernel, t: Thread, start: number, length: number, vmFlags: number, flags = 0): Path<number> {
  if ((flags & ~MLOCK_ONFAULT) !== 0) return -EINVAL;
  if (k.config.memlockLimit === 0 && !k.config.privileged) return -EPERM;
  const { from, to } = pagesAround(start, length);
  yield* mmapWriteLock(k, t.mm);
  const error = yield* lockRange(k, t, from, to, vmFlags);
  yield* mmapWriteUnlock(k, t.mm);
  if (error !== 0) return error;
  const populated = yield* call("__mm_populate", populate(k, t, from, to, false));
  if (populated === -EFAULT) return -ENOMEM;
  return populated === -ENOMEM ? -EAGAIN : populated;
}

function* lockRange(k: Kernel, t: Thread, from: number, to: number, vmFlags: number): Path<number> {
  const over = yield step("locked_vm", () => {
    if (k.config.memlockLimit < 0 || k.config.privileged) return 0;
    return k.mms.lockedVm(t.mm) + (to - from) > k.config.memlockLimit ? -ENOMEM : 0;
  });
  return over !== 0 ? over : yield* applyVmaLockFlags(k, t, from, to, vmFlags);
}

function* munlock(k: Kernel, t: Thread, start: number, length: number): Path<number> {
  const { from, to } = pagesAround(start, length);
  yield* mmapWriteLock(k, t.mm);
  const error = yield* applyVmaLockFlags(k, t, from, to, 0);
  yield* mmapWriteUnlock(k, t.mm);
  return error;
}

/** apply_vma_lock_flags(): VMA after VMA; a hole stops it. */
function* applyVmaLockFlags(k: Kernel, t: Thread, from: number, to: number, vmFlags: number): Path<number> {
  if (from === to) return 0;
  const list = yield step("mm->mm_mt", () => k.mms.vmaList(t.mm));
  for (let at = from; at < to;) {
    const here = at;
    const vma = yield step("for_each_vma_range", () => k.vmas.lookup(list, here));
    if (vma === 0) return -ENOMEM;
    const end = yield step("vma->vm_end", () => Math.min(to, k.vmas.end(vma)));
    const error = yield* mlockFixup(k, t, vma, at, end, vmFlags);
    if (error !== 0) return error;
    at = end;
  }
  return 0;
}

/** mlock_fixup(): one VMA's part. Special mappings and hugetlb stay as they are. */
function* mlockFixup(k: Kernel, t: Thread, vma: number, start: number, end: number, vmFlags: number): Path<number> {
  const shape = yield* vmaShape(k, vma);
  const flags = (shape.flags & ~LOCKED_MASK) | vmFlags;
  const dax = yield step("vma_is_dax", () => (vmaKind(k, vma) === INODE_DAX ? 1 : 0));
  if (flags === shape.flags || dax !== 0 || (shape.flags & (VM_SPECIAL | VM_HUGETLB)) !== 0) return 0;
  const changed = yield* vmaModify(k, t.cpu, vma, start, end, { ...shape, flags });
  if (changed < 0) return changed;
  yield* vmaStartWrite(k, changed);
  const wasLocked = (shape.flags & VM_LOCKED) !== 0;
  const isLocked = (flags & VM_LOCKED) !== 0;
  yield step("vm_flags_reset", () => {
    resetFlags(k, changed, flags);
    if (isLocked !== wasLocked) k.mms.addLockedVm(t.mm, isLocked ? end - start : start - end);
    return 0;
  });
  if (isLocked !== wasLocked) yield* mlockVmaPagesRange(k, t.mm, start, end, isLocked);
  return 0;
}

/** mlock_vma_pages_range(): the pages that are mapped now get, or lose, their mark. */
function* mlockVmaPagesRange(k: Kernel, mm: number, start: number, end: number, lock: boolean): Path {
  const span = k.tables.hugePages;
  for (let at = start; at < end;) {
    const from = at;
    at = yield step("pmd_none", () => nextPopulatedBlock(k, mm, from, end));
    if (at >= end) return;
    const first = at;
    const next = Math.min(end, at - (at % span) + span);
    yield step("mlock_pte_range", () => {
      markBlock(k, mm, first, next, lock);
      return 0;
    });
    at = next;
  }
}

function markBlock(k: Kernel, mm: number, first: number, next: number, lock: boolean): void {
  const pmd = k.tables.get(k.tables.find(k.mms.pgd(mm), PMD_LEVEL, first));
  if (!pteTable(pmd)) {
    if (pteHugeLeaf(pmd)) mark(k, ptePfn(pmd), lock);
    return;
  }
  const ptep = k.tables.find(k.mms.pgd(mm), PTE_LEVEL, first);
  for (let i = 0; i < next - first; i++) {
    const pte = k.tables.get(ptep + i);
    if (ptePresent(pte) && !pteSpecial(pte) && allowMlock(k, ptep + i, next - first - i, lock))
      mark(k, ptePfn(pte), lock);
  }
}

/** allow_mlock_munlock(): a large folio is locked, at its first page, only if all of it is mapped and locked here; never before v6.7. */
function allowMlock(k: Kernel, ptep: Ptep, left: number, lock: boolean): boolean {
  const pfn = ptePfn(k.tables.get(ptep));
  const pages = k.pages.pages(pfn);
  if (pages === 1 || (!lock && since(k.profile, 6, 7))) return true;
  if (!since(k.profile, 6, 7) || k.pages.head(pfn) !== pfn || pages > left) return false;
  for (let i = 1; i < pages; i++) {
    const pte = k.tables.get(ptep + i);
    if (!ptePresent(pte) || ptePfn(pte) !== pfn + i) return false;
  }
  return true;
}

function mark(k: Kernel, pfn: number, lock: boolean): void {
  if (lock) k.pages.mark(pfn, PG_MLOCKED | PG_UNEVICTABLE);
  else k.pages.unmark(pfn, PG_MLOCKED | PG_UNEVICTABLE);
}

function* mlockall(k: Kernel, t: Thread, flags: number): Path<number> {
  if (flags === 0 || (flags & ~(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT)) !== 0 || flags === MCL_ONFAULT) return -EINVAL;
  if (k.config.memlockLimit === 0 && !k.config.privileged) return -EPERM;
  yield* applyToAll(k, t, flags);
  if ((flags & MCL_CURRENT) !== 0) yield* mmPopulate(k, t, 0, taskPages(k));
  return 0;
}

/** apply_mlockall_flags(): errors of single VMAs are nobody's concern. */
function* applyToAll(k: Kernel, t: Thread, flags: number): Path<number> {
  const vmFlags = flags === 0 ? 0 : (flags & MCL_ONFAULT) !== 0 ? LOCKED_MASK : VM_LOCKED;
  yield* mmapWriteLock(k, t.mm);
  const list = yield step("mm->def_flags", () => {
    k.mms.setDefFlags(t.mm, (k.mms.defFlags(t.mm) & ~LOCKED_MASK) | ((flags & MCL_FUTURE) !== 0 ? vmFlags : 0));
    return k.mms.vmaList(t.mm);
  });
  if (flags === 0 || (flags & MCL_CURRENT) !== 0) {
    for (let at = 0; ;) {
      const here = at;
      const vma = yield step("for_each_vma", () => k.vmas.find(list, here));
      if (vma === 0) break;
      const start = yield step("vma->vm_start", () => k.vmas.start(vma));
      const end = yield step("vma->vm_end", () => k.vmas.end(vma));
      yield* mlockFixup(k, t, vma, start, end, vmFlags);
      at = end;
    }
  }
  yield* mmapWriteUnlock(k, t.mm);
  return 0;
}
