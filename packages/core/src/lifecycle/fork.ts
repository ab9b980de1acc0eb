import { call, downWrite, type Path, step } from "@mmu-notifier/steps";
import type { Kernel } from "../kernel.js";
import type { Thread } from "../thread.js";
import { flushTlbMm } from "../tlb/flush.js";
import {
  VM_DONTCOPY,
  VM_LOCKED,
  VM_LOCKONFAULT,
  VM_UFFD_MINOR,
  VM_UFFD_MISSING,
  VM_UFFD_WP,
  VM_WIPEONFORK,
} from "../vma.js";
import { anonVmaFork } from "../vma/anon-vma-links.js";
import { vmaLinkFileAfter } from "../vma/file-links.js";
import { dropRmapLocks, takeRmapLocks, vmaInode } from "../vma/rmap-locks.js";
import { mmapWriteUnlock, vmaStartWrite } from "../vma/vma-lock.js";
import { copyPageRange } from "./copy-page-range.js";
import { createMm } from "./create-mm.js";

const UFFD_FLAGS = VM_UFFD_MISSING | VM_UFFD_WP | VM_UFFD_MINOR;

/**
 * fork(2): a copy of the address space. Private pages are shared read-only from now on; the parent's TLB is flushed once, after
 * all ranges have ended. Subscribers of the parent do not follow.
 *
 * @returns the child's mm
 */
export function sysFork(k: Kernel, t: Thread): Path<number> {
  return call("dup_mmap", dupMmap(k, t));
}

function* dupMmap(k: Kernel, t: Thread): Path<number> {
  yield downWrite(k.mms.mmapLock(t.mm));
  const child = yield step("mm_alloc", () => {
    const mm = createMm(k, { mmapBase: k.mms.mmapBase(t.mm), brkPage: k.mms.startBrk(t.mm) });
    k.mms.setBrk(mm, k.mms.startBrk(t.mm), k.mms.brkBytes(t.mm));
    return mm;
  });
  yield downWrite(k.mms.mmapLock(child), 1);
  const list = yield step("mm->mm_mt", () => k.mms.vmaList(t.mm));
  const count = yield step("mm->map_count", () => k.vmas.count(list));
  for (let i = 0; i < count; i++) {
    const vma = yield step("for_each_vma", () => k.vmas.at(list, i));
    yield* vmaStartWrite(k, vma);
    const flags = yield step("mpnt->vm_flags", () => k.vmas.flags(vma));
    if ((flags & VM_DONTCOPY) !== 0) continue;
    const inode = yield* vmaInode(k, vma);
    const anonVma = yield step("mpnt->anon_vma", () => k.vmas.anonVma(vma));
    const locks = yield* takeRmapLocks(k, inode, anonVma);
    const copy = yield step("vm_area_dup", () => dupVma(k, vma, child));
    yield* dropRmapLocks(k, locks);
    if ((flags & VM_WIPEONFORK) === 0) yield* copyPageRange(k, t.cpu, copy, vma);
  }
  yield* flushTlbMm(k, t.cpu, t.mm);
  yield* mmapWriteUnlock(k, child);
  yield* mmapWriteUnlock(k, t.mm);
  return child;
}

/** The child's row for `vma`, in the child's list. */
function dupVma(k: Kernel, vma: number, child: number): number {
  const { vmas } = k;
  const copy = vmas.dup(vma, child);
  let flags = vmas.flags(copy) & ~(VM_LOCKED | VM_LOCKONFAULT);
  if (vmas.uffd(copy) !== 0) {
    vmas.setUffd(copy, 0);
    flags &= ~UFFD_FLAGS;
  }
  vmas.setFlags(copy, flags);
  // The child of a private hugetlb mapping has no promises of its own.
  vmas.setPrivate(copy, 0);
  if ((flags & VM_WIPEONFORK) !== 0) vmas.setAnonVma(copy, 0);
  else anonVmaFork(k, copy);
  vmaLinkFileAfter(k, copy, vma);
  if (vmas.file(copy) !== 0) k.files.get(vmas.file(copy));
  vmas.insert(k.mms.vmaList(child), copy);
  return copy;
}
