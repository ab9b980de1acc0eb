import { call, type Path, step } from "@mmu-notifier/steps";
import { EACCES, EINVAL, ENOMEM, EPERM } from "../errno.js";
import { vmaKind, vmPageProt } from "../fault/vm-page-prot.js";
import { PAGE_SIZE } from "../geometry.js";
import type { Kernel } from "../kernel.js";
import { since } from "../kernel-profile.js";
import { changeProtection, finishProtection, protectionGather } from "../protect/change-protection.js";
import { wantsManualWriteUpgrade } from "../protect/change-flags.js";
import type { Thread } from "../thread.js";
import type { MmuGather } from "../tlb/mmu-gather.js";
import {
  VM_ACCESS_FLAGS,
  VM_ACCOUNT,
  VM_EXEC,
  VM_GROWSDOWN,
  VM_HUGETLB,
  VM_LOCKED,
  VM_MAYEXEC,
  VM_MAYREAD,
  VM_MAYWRITE,
  VM_NORESERVE,
  VM_READ,
  VM_SEALED,
  VM_SHARED,
  VM_WRITE,
} from "../vma.js";
import { resetFlags, vmaModify, vmaShape } from "../vma/modify.js";
import { mmapWriteLock, mmapWriteUnlock, vmaStartWrite } from "../vma/vma-lock.js";
import { PROT_EXEC, PROT_GROWSDOWN, PROT_GROWSUP, PROT_READ, PROT_WRITE } from "./mman.js";
import { populateVma } from "./populate.js";

const PROT_SEM = 8;

/**
 * mprotect(2), in bytes. VMAs are changed one after the other; an error leaves the earlier ones changed, and announced.
 *
 * @returns 0 or -errno
 */
export function sysMprotect(k: Kernel, t: Thread, start: number, length: number, prot: number): Path<number> {
  return call("do_mprotect_pkey", mprotect(k, t, start, length, prot));
}

function* mprotect(k: Kernel, t: Thread, startBytes: number, length: number, prot: number): Path<number> {
  const grows = prot & (PROT_GROWSDOWN | PROT_GROWSUP);
  const rights = prot & ~(PROT_GROWSDOWN | PROT_GROWSUP);
  if (grows === (PROT_GROWSDOWN | PROT_GROWSUP)) return -EINVAL;
  if (startBytes % PAGE_SIZE !== 0) return -EINVAL;
  if (length === 0) return 0;
  const pages = Math.ceil(length / PAGE_SIZE);
  const start = startBytes / PAGE_SIZE;
  if (!(length > 0) || start + pages >= 2 ** 52) return -ENOMEM;
  if ((rights & ~(PROT_READ | PROT_WRITE | PROT_EXEC | PROT_SEM)) !== 0) return -EINVAL;
  yield* mmapWriteLock(k, t.mm);
  const error = yield* protectRange(k, t, start, start + pages, rights, grows);
  yield* mmapWriteUnlock(k, t.mm);
  return error;
}

function* protectRange(k: Kernel, t: Thread, from: number, to: number, prot: number, grows: number): Path<number> {
  const list = yield step("mm->mm_mt", () => k.mms.vmaList(t.mm));
  let start = from;
  const first = yield step("vma_find", () => k.vmas.findIntersection(list, from, to));
  if (first === 0) return -ENOMEM;
  const firstStart = yield step("vma->vm_start", () => k.vmas.start(first));
  if (grows === PROT_GROWSDOWN) {
    const growable = yield step("VM_GROWSDOWN", () => (k.vmas.has(first, VM_GROWSDOWN) ? 1 : 0));
    if (growable === 0) return -EINVAL;
    start = firstStart;
  } else {
    if (firstStart > start) return -ENOMEM;
    // No shipped architecture has stacks that grow up.
    if (grows === PROT_GROWSUP) return -EINVAL;
  }
  const tlb = yield* protectionGather(k, t.cpu, t.mm);
  let error = 0;
  let at = start;
  while (at < to) {
    const here = at;
    const vma = yield step("for_each_vma_range", () => k.vmas.lookup(list, here));
    if (vma === 0) {
      error = -ENOMEM;
      break;
    }
    const next = yield step("vma->vm_end", () => Math.min(to, k.vmas.end(vma)));
    const newflags = yield step(
      "calc_vm_prot_bits",
      () => ((k.vmas.flags(vma) & ~VM_ACCESS_FLAGS) | vmFlagsOf(prot)) >>> 0,
    );
    error = permits(newflags | 0) ? yield* mprotectFixup(k, t, tlb, vma, at, next, newflags | 0) : -EACCES;
    if (error !== 0) break;
    at = next;
  }
  yield* finishProtection(k, tlb);
  return error;
}

/** calc_vm_prot_bits(). */
function vmFlagsOf(prot: number): number {
  return (
    ((prot & PROT_READ) !== 0 ? VM_READ : 0) |
    ((prot & PROT_WRITE) !== 0 ? VM_WRITE : 0) |
    ((prot & PROT_EXEC) !== 0 ? VM_EXEC : 0)
  );
}

/** Every right asked for has its VM_MAY flag. */
function permits(flags: number): boolean {
  return (
    ((flags & VM_READ) === 0 || (flags & VM_MAYREAD) !== 0) &&
    ((flags & VM_WRITE) === 0 || (flags & VM_MAYWRITE) !== 0) &&
    ((flags & VM_EXEC) === 0 || (flags & VM_MAYEXEC) !== 0)
  );
}

/** mprotect_fixup(): one VMA's part. Nothing at all happens when the flags stay the same. */
function* mprotectFixup(
  k: Kernel,
  t: Thread,
  tlb: MmuGather,
  vma: number,
  start: number,
  end: number,
  wanted: number,
): Path<number> {
  const oldflags = yield step("vma->vm_flags", () => k.vmas.flags(vma));
  if ((oldflags & VM_SEALED) !== 0) return -EPERM;
  if (wanted === oldflags) return 0;
  const newflags = yield step("VM_ACCOUNT", () => accounted(k, vma, oldflags, wanted) >>> 0);
  const flags = newflags | 0;
  const shape = yield* vmaShape(k, vma);
  const changed = yield* vmaModify(k, t.cpu, vma, start, end, { ...shape, flags });
  if (changed < 0) return changed;
  yield* vmaStartWrite(k, changed);
  const kind = yield step("vm_flags_reset, vma_set_page_prot", () => {
    resetFlags(k, changed, flags);
    return vmaKind(k, changed);
  });
  yield* changeProtection(k, t.cpu, tlb, changed, start, end, {
    newprot: vmPageProt(k, flags, kind),
    uffdWp: false,
    uffdWpResolve: false,
    tryChangeWritable: wantsManualWriteUpgrade(k, flags, kind),
    numa: false,
    vmFlags: flags,
    kind,
  });
  // Locked private memory that gets writable is copied now, not in a later fault.
  if ((oldflags & (VM_WRITE | VM_SHARED | VM_LOCKED)) === VM_LOCKED && (flags & VM_WRITE) !== 0)
    yield* populateVma(k, t, start, end, flags, { keepLock: true });
  return 0;
}

function accounted(k: Kernel, vma: number, oldflags: number, newflags: number): number {
  if ((newflags & VM_WRITE) !== 0) {
    return (oldflags & (VM_ACCOUNT | VM_WRITE | VM_HUGETLB | VM_SHARED | VM_NORESERVE)) === 0
      ? newflags | VM_ACCOUNT
      : newflags;
  }
  const takesBack =
    since(k.profile, 6, 7) && (oldflags & VM_ACCOUNT) !== 0 && k.vmas.file(vma) === 0 && k.vmas.anonVma(vma) === 0;
  return takesBack ? newflags & ~VM_ACCOUNT : newflags;
}
