import { call, type Path, step, upRead } from "@mmu-notifier/steps";
import { PAGE_SIZE } from "../geometry.js";
import type { Kernel } from "../kernel.js";
import type { Thread } from "../thread.js";
import { doVmiMunmap } from "../unmap/munmap.js";
import { VM_ACCOUNT, VM_GROWSDOWN, VM_LOCKED, VM_MAYEXEC, VM_MAYREAD, VM_MAYWRITE, VM_READ, VM_WRITE } from "../vma.js";
import { vmaMergeNewRange } from "../vma/merge.js";
import { taskPages } from "../vma/task-size.js";
import { mmapWriteLock, mmapWriteUnlock } from "../vma/vma-lock.js";
import { softDirtyFlag } from "./mmap.js";
import { mlockFutureOk } from "./mmap-flags.js";
import { mmPopulate } from "./populate.js";

const HEAP_FLAGS = VM_READ | VM_WRITE | VM_MAYREAD | VM_MAYWRITE | VM_MAYEXEC | VM_ACCOUNT;
const STACK_GUARD_GAP = 256;

/**
 * brk(2): moves the end of the heap to byte `address`.
 *
 * @returns the end of the heap in bytes: the old one when it could not be moved
 */
export function sysBrk(k: Kernel, t: Thread, address: number): Path<number> {
  return call("brk", brk(k, t, address));
}

function* brk(k: Kernel, t: Thread, address: number): Path<number> {
  const { mm } = t;
  yield* mmapWriteLock(k, mm);
  const before = yield step("mm->brk", () => k.mms.brkBytes(mm));
  const first = yield step("mm->start_brk", () => k.mms.startBrk(mm));
  const oldEnd = Math.ceil(before / PAGE_SIZE);
  const newEnd = Math.ceil(address / PAGE_SIZE);
  if (address < first * PAGE_SIZE) {
    yield* mmapWriteUnlock(k, mm);
    return before;
  }
  if (newEnd < oldEnd) return yield* shrink(k, t, before, address, newEnd, oldEnd);
  const grown = newEnd === oldEnd || (yield* grow(k, t, oldEnd, newEnd));
  const locked = yield step("mm->def_flags", () => {
    if (grown) k.mms.setBrk(mm, k.mms.startBrk(mm), address);
    return (k.mms.defFlags(mm) & VM_LOCKED) !== 0 ? 1 : 0;
  });
  yield* mmapWriteUnlock(k, mm);
  if (!grown) return before;
  if (locked !== 0 && newEnd > oldEnd) yield* mmPopulate(k, t, oldEnd, newEnd);
  return address;
}

function* shrink(k: Kernel, t: Thread, before: number, address: number, newEnd: number, oldEnd: number): Path<number> {
  const { mm } = t;
  const heap = yield step("vma_find", () => {
    const vma = k.vmas.find(k.mms.vmaList(mm), oldEnd - 1);
    if (vma === 0 || k.vmas.start(vma) >= oldEnd) return 0;
    k.mms.setBrk(mm, k.mms.startBrk(mm), address);
    return vma;
  });
  const result = heap === 0 ? -1 : yield* doVmiMunmap(k, t, newEnd, oldEnd, true);
  if (heap !== 0 && result < 0) {
    yield step("mm->brk = origbrk", () => {
      k.mms.setBrk(mm, k.mms.startBrk(mm), before);
      return 0;
    });
  }
  if (result > 0) yield upRead(k.mms.mmapLock(mm));
  else yield* mmapWriteUnlock(k, mm);
  return result < 0 ? before : address;
}

/** do_brk_flags(): lets the heap's VMA grow, or makes it. */
function* grow(k: Kernel, t: Thread, oldEnd: number, newEnd: number): Path<boolean> {
  const { mm } = t;
  const flags = yield step("check_brk_limits", () => {
    if (newEnd > taskPages(k)) return -1;
    const list = k.mms.vmaList(mm);
    const next = k.vmas.find(list, oldEnd);
    const gap = next !== 0 && k.vmas.has(next, VM_GROWSDOWN) ? STACK_GUARD_GAP : 0;
    if (next !== 0 && newEnd + 1 > k.vmas.start(next) - gap) return -1;
    if (k.vmas.count(list) > k.config.maxMapCount) return -1;
    const wanted = HEAP_FLAGS | k.mms.defFlags(mm);
    return (wanted & VM_LOCKED) !== 0 && !mlockFutureOk(k, mm, newEnd - oldEnd) ? -1 : wanted >>> 0;
  });
  if (flags < 0) return false;
  const shape = { flags: flags | 0, policy: 0, uffd: 0, anonName: 0 };
  const range = { ...shape, start: oldEnd, end: newEnd, pgoff: oldEnd, file: 0, anonVma: 0, copiedFrom: 0 };
  const merged = yield* vmaMergeNewRange(k, t.cpu, mm, range);
  yield step("vma_link", () => {
    const vma = merged !== 0 ? merged : k.vmas.alloc(mm, oldEnd, newEnd, flags | 0);
    if (merged === 0) {
      k.vmas.setRange(vma, oldEnd, newEnd, oldEnd);
      k.vmas.insert(k.mms.vmaList(mm), vma);
    }
    k.vmas.setFlags(vma, k.vmas.flags(vma) | softDirtyFlag(k));
    if ((flags & VM_LOCKED) !== 0) k.mms.addLockedVm(mm, newEnd - oldEnd);
    return 0;
  });
  return true;
}
