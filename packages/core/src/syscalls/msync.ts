import { call, downRead, type Path, step, upRead } from "@mmu-notifier/steps";
import { EBUSY, EINVAL, ENOMEM } from "../errno.js";
import { vfsFsyncRange } from "../file-ops/writeback.js";
import { filePut } from "../files/file-put.js";
import { PAGE_SIZE } from "../geometry.js";
import type { Kernel } from "../kernel.js";
import type { Thread } from "../thread.js";
import { VM_LOCKED, VM_SHARED } from "../vma.js";
import { MS_ASYNC, MS_INVALIDATE, MS_SYNC } from "./mman.js";

/** msync(2), in bytes: with MS_SYNC the dirty pages of shared file mappings are written back, and write-protected for it. 0 or -errno. */
export function sysMsync(k: Kernel, t: Thread, start: number, length: number, flags: number): Path<number> {
  return call("msync", msync(k, t, start, length, flags));
}

function* msync(k: Kernel, t: Thread, startBytes: number, length: number, flags: number): Path<number> {
  if ((flags & ~(MS_ASYNC | MS_INVALIDATE | MS_SYNC)) !== 0 || startBytes % PAGE_SIZE !== 0) return -EINVAL;
  if ((flags & MS_ASYNC) !== 0 && (flags & MS_SYNC) !== 0) return -EINVAL;
  const start = startBytes / PAGE_SIZE;
  const end = start + Math.ceil(length / PAGE_SIZE);
  if (!(length >= 0) || end >= 2 ** 52) return -ENOMEM;
  if (end === start) return 0;
  const lock = k.mms.mmapLock(t.mm);
  const list = yield step("mm->mm_mt", () => k.mms.vmaList(t.mm));
  yield downRead(lock);
  let unmapped = 0;
  for (let at = start; at < end;) {
    const here = at;
    const vma = yield step("find_vma", () => k.vmas.find(list, here));
    if (vma === 0) return yield* done(k, t, -ENOMEM);
    const from = yield step("vma->vm_start", () => Math.max(here, k.vmas.start(vma)));
    if (from > here) {
      if (flags === MS_ASYNC || from >= end) return yield* done(k, t, -ENOMEM);
      unmapped = -ENOMEM;
    }
    const vmFlags = yield step("vma->vm_flags", () => k.vmas.flags(vma));
    if ((flags & MS_INVALIDATE) !== 0 && (vmFlags & VM_LOCKED) !== 0) return yield* done(k, t, -EBUSY);
    const vmaEnd = yield step("vma->vm_end", () => k.vmas.end(vma));
    const to = Math.min(end, vmaEnd);
    const file = yield step("vma->vm_file", () => k.vmas.file(vma));
    if ((flags & MS_SYNC) !== 0 && file !== 0 && (vmFlags & VM_SHARED) !== 0) {
      const first = yield step("linear_page_index", () => k.vmas.linearIndex(vma, from));
      const inode = yield step("get_file", () => {
        k.files.get(file);
        return k.files.inode(file);
      });
      yield upRead(lock);
      const error = yield* vfsFsyncRange(k, t, inode, first, first + (to - from));
      yield step("fput", () => {
        filePut(k, file);
        return 0;
      });
      if (error !== 0) return error;
      yield downRead(lock);
    }
    at = vmaEnd;
  }
  return yield* done(k, t, unmapped);
}

function* done(k: Kernel, t: Thread, result: number): Path<number> {
  yield upRead(k.mms.mmapLock(t.mm));
  return result;
}
