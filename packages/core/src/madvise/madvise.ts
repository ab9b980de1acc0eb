import { call, downRead, type Path, step, upRead } from "@mmu-notifier/steps";
import { EACCES, EFAULT, EHWPOISON, EINVAL, ENOMEM, EPERM } from "../errno.js";
import { getUserPages } from "../fault/gup.js";
import { vfsFallocatePunch } from "../file-ops/fallocate.js";
import { PAGE_SIZE } from "../geometry.js";
import type { Kernel } from "../kernel.js";
import { since } from "../kernel-profile.js";
import { madviseCollapse } from "../khugepaged/madvise-collapse.js";
import { madviseCold } from "../reclaim/madvise-cold.js";
import { madvisePageout } from "../reclaim/madvise-pageout.js";
import { afterLeaf } from "../syscalls/populate.js";
import type { Thread } from "../thread.js";
import { type MmuGather, tlbGatherMmu } from "../tlb/mmu-gather.js";
import { VM_IO, VM_LOCKED, VM_MAYWRITE, VM_PFNMAP, VM_READ, VM_SEALED, VM_SHARED, VM_WRITE } from "../vma.js";
import { mmapWriteLock, mmapWriteUnlock } from "../vma/vma-lock.js";
import { adviseFlags } from "./advise-flags.js";
import {
  adviceSince,
  MADV_COLD,
  MADV_COLLAPSE,
  MADV_DONTFORK,
  MADV_DONTNEED,
  MADV_DONTNEED_LOCKED,
  MADV_FREE,
  MADV_GUARD_INSTALL,
  MADV_GUARD_REMOVE,
  MADV_HWPOISON,
  MADV_PAGEOUT,
  MADV_POPULATE_READ,
  MADV_POPULATE_WRITE,
  MADV_REMOVE,
  MADV_SOFT_OFFLINE,
  MADV_WILLNEED,
  MADV_WIPEONFORK,
} from "./advice.js";
import { madviseDontneedFree } from "./dontneed.js";
import { madviseGuardInstall, madviseGuardRemove } from "./guard.js";
import { injectError } from "./inject-error.js";
import { madviseWillneed } from "./willneed.js";

/** Advices that change VMAs and so need mmap_lock for writing. */
const READ_LOCK: ReadonlySet<number> = new Set([
  MADV_REMOVE,
  MADV_WILLNEED,
  MADV_DONTNEED,
  MADV_DONTNEED_LOCKED,
  MADV_COLD,
  MADV_PAGEOUT,
  MADV_FREE,
  MADV_POPULATE_READ,
  MADV_POPULATE_WRITE,
  MADV_COLLAPSE,
  MADV_GUARD_INSTALL,
  MADV_GUARD_REMOVE,
]);

/** is_discard(): advices that lose contents. */
const DISCARDS: ReadonlySet<number> = new Set([
  MADV_FREE,
  MADV_DONTNEED,
  MADV_DONTNEED_LOCKED,
  MADV_REMOVE,
  MADV_DONTFORK,
  MADV_WIPEONFORK,
  MADV_GUARD_INSTALL,
]);

/**
 * madvise(2), in bytes. Holes are skipped and make it fail in the end; what was done before an error stays done.
 *
 * @returns 0 or -errno
 */
export function sysMadvise(k: Kernel, t: Thread, start: number, length: number, advice: number): Path<number> {
  return call("do_madvise", madvise(k, t, start, length, advice));
}

function* madvise(k: Kernel, t: Thread, start: number, length: number, advice: number): Path<number> {
  const range = checkRange(k, start, length, advice);
  if (typeof range === "number") return range;
  if (advice === MADV_HWPOISON || advice === MADV_SOFT_OFFLINE)
    return yield* injectError(k, t, range.from, range.to, advice);
  yield* lock(k, t.mm, advice);
  const tlb = batchesFlushes(k, advice) ? yield* tlbGatherMmu(k, t.cpu, t.mm) : undefined;
  const error = yield* doBehavior(k, t, range.from, range.to, advice, tlb);
  if (tlb !== undefined) yield* tlb.finish();
  yield* unlock(k, t.mm, advice);
  return error;
}

/**
 * process_madvise(2) on one's own memory: several ranges under one lock, whose flushes are collected since v6.16.
 *
 * @param ranges start and length of each, in bytes
 * @returns bytes advised, or -errno when the first range failed
 */
export function sysProcessMadvise(
  k: Kernel,
  t: Thread,
  ranges: readonly (readonly [start: number, length: number])[],
  advice: number,
): Path<number> {
  return call("process_madvise", processMadvise(k, t, ranges, advice));
}

function* processMadvise(
  k: Kernel,
  t: Thread,
  ranges: readonly (readonly [number, number])[],
  advice: number,
): Path<number> {
  if (adviceSince(advice) === undefined || !since(k.profile, ...adviceSince(advice)!)) return -EINVAL;
  const remote =
    advice === MADV_COLD || advice === MADV_PAGEOUT || advice === MADV_WILLNEED || advice === MADV_COLLAPSE;
  if (!remote && !since(k.profile, 6, 13)) return -EINVAL;
  yield* lock(k, t.mm, advice);
  const tlb = batchesFlushes(k, advice) ? yield* tlbGatherMmu(k, t.cpu, t.mm) : undefined;
  let done = 0;
  let error = 0;
  for (const [start, length] of ranges) {
    const range = checkRange(k, start, length, advice);
    if (typeof range === "number") error = range;
    else error = yield* doBehavior(k, t, range.from, range.to, advice, tlb);
    if (error < 0) break;
    done += length;
  }
  if (tlb !== undefined) yield* tlb.finish();
  yield* unlock(k, t.mm, advice);
  return done > 0 ? done : error;
}

/** madvise_batch_tlb_flush(): one flush for all VMAs and ranges of a call, since v6.16. */
function batchesFlushes(k: Kernel, advice: number): boolean {
  return (
    since(k.profile, 6, 16) && (advice === MADV_DONTNEED || advice === MADV_DONTNEED_LOCKED || advice === MADV_FREE)
  );
}

/** Pages to advise, or what the call returns at once. */
function checkRange(
  k: Kernel,
  start: number,
  length: number,
  advice: number,
): number | { readonly from: number; readonly to: number } {
  const known = adviceSince(advice);
  if (known === undefined || !since(k.profile, ...known)) return -EINVAL;
  if (start % PAGE_SIZE !== 0) return -EINVAL;
  const pages = Math.ceil(length / PAGE_SIZE);
  const from = start / PAGE_SIZE;
  if (!(length >= 0) || from + pages >= 2 ** 52) return -EINVAL;
  return pages === 0 ? 0 : { from, to: from + pages };
}

function* lock(k: Kernel, mm: number, advice: number): Path {
  if (READ_LOCK.has(advice)) yield downRead(k.mms.mmapLock(mm));
  else yield* mmapWriteLock(k, mm);
}

function* unlock(k: Kernel, mm: number, advice: number): Path {
  if (READ_LOCK.has(advice)) yield upRead(k.mms.mmapLock(mm));
  else yield* mmapWriteUnlock(k, mm);
}

function doBehavior(
  k: Kernel,
  t: Thread,
  from: number,
  to: number,
  advice: number,
  tlb: MmuGather | undefined,
): Path<number> {
  if (advice === MADV_POPULATE_READ || advice === MADV_POPULATE_WRITE)
    return madvisePopulate(k, t, from, to, advice === MADV_POPULATE_WRITE);
  return call("madvise_walk_vmas", walkVmas(k, t, from, to, advice, tlb));
}

/** madvise_walk_vmas(): VMA after VMA, each clipped to the range. */
function* walkVmas(
  k: Kernel,
  t: Thread,
  from: number,
  to: number,
  advice: number,
  tlb: MmuGather | undefined,
): Path<number> {
  const list = yield step("mm->mm_mt", () => k.mms.vmaList(t.mm));
  let unmapped = 0;
  for (let at = from; at < to;) {
    const here = at;
    const vma = yield step("find_vma_prev", () => k.vmas.findIntersection(list, here, to));
    if (vma === 0) return -ENOMEM;
    const start = yield step("vma->vm_start", () => Math.max(here, k.vmas.start(vma)));
    if (start > here) unmapped = -ENOMEM;
    const end = yield step("vma->vm_end", () => Math.min(to, k.vmas.end(vma)));
    const error = yield* behave(k, t, vma, start, end, advice, tlb);
    if (error !== 0) return error;
    at = end;
  }
  return unmapped;
}

/** madvise_vma_behavior(). */
function* behave(
  k: Kernel,
  t: Thread,
  vma: number,
  start: number,
  end: number,
  advice: number,
  tlb: MmuGather | undefined,
): Path<number> {
  const permitted = yield step("can_madvise_modify", () => (mayModify(k, vma, advice) ? 1 : 0));
  if (permitted === 0) return -EPERM;
  const { cpu, mm } = t;
  switch (advice) {
    case MADV_DONTNEED:
    case MADV_DONTNEED_LOCKED:
    case MADV_FREE:
      return yield* madviseDontneedFree(k, cpu, vma, start, end, advice, tlb);
    case MADV_COLD:
      return yield* madviseCold(k, cpu, vma, start, end);
    case MADV_PAGEOUT:
      return yield* madvisePageout(k, cpu, vma, start, end);
    case MADV_WILLNEED:
      return yield* madviseWillneed(k, vma, start, end);
    case MADV_REMOVE:
      return yield* madviseRemove(k, t, vma, start, end);
    case MADV_GUARD_INSTALL:
      return yield* madviseGuardInstall(k, cpu, mm, vma, start, end);
    case MADV_GUARD_REMOVE:
      return yield* madviseGuardRemove(k, mm, vma, start, end);
    case MADV_COLLAPSE:
      return yield* madviseCollapse(k, t, vma, start, end);
    default:
      return yield* adviseFlags(k, cpu, vma, start, end, advice);
  }
}

/** can_madvise_modify(): sealed anonymous memory that cannot be written must not be emptied either; a file's always may. Inside a step. */
function mayModify(k: Kernel, vma: number, advice: number): boolean {
  if (!k.vmas.has(vma, VM_SEALED) || !DISCARDS.has(advice)) return true;
  return k.vmas.file(vma) !== 0 || k.vmas.has(vma, VM_WRITE);
}

/** madvise_remove(): punches a hole into the file behind the range, with mmap_lock dropped meanwhile. */
function* madviseRemove(k: Kernel, t: Thread, vma: number, start: number, end: number): Path<number> {
  const inode = yield step("vma->vm_file->f_mapping", () => {
    const file = k.vmas.file(vma);
    if (k.vmas.has(vma, VM_LOCKED) || file === 0) return -EINVAL;
    const flags = k.vmas.flags(vma);
    const writable = since(k.profile, 6, 1) ? VM_SHARED | VM_MAYWRITE : VM_SHARED | VM_WRITE;
    return (flags & writable) === writable ? k.files.inode(file) : -EACCES;
  });
  if (inode < 0) return inode;
  const first = yield step("linear_page_index", () => k.vmas.linearIndex(vma, start));
  yield upRead(k.mms.mmapLock(t.mm));
  const error = yield* vfsFallocatePunch(k, t, inode, first, first + (end - start));
  yield downRead(k.mms.mmapLock(t.mm));
  return error;
}

/** madvise_populate(): prefaults the range for reading or writing; stops at the first page that does not come. */
function* madvisePopulate(k: Kernel, t: Thread, from: number, to: number, write: boolean): Path<number> {
  const list = yield step("mm->mm_mt", () => k.mms.vmaList(t.mm));
  for (let vpn = from; vpn < to;) {
    const here = vpn;
    const error = yield step("check_vma_flags", () => {
      const vma = k.vmas.lookup(list, here);
      if (vma === 0) return -ENOMEM;
      if (k.vmas.has(vma, VM_IO | VM_PFNMAP)) return -EINVAL;
      return k.vmas.has(vma, write ? VM_WRITE : VM_READ) ? 0 : -EINVAL;
    });
    if (error !== 0) return error;
    const page = yield* getUserPages(k, t.cpu, t.mm, vpn, { write, calledAgain: !since(k.profile, 6, 9) });
    if (page === -EHWPOISON || page === -ENOMEM) return page;
    if (page < 0) return -EFAULT;
    vpn = yield* afterLeaf(k, t.mm, vpn);
  }
  return 0;
}
