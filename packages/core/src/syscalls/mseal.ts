import { call, type Path, step } from "@mmu-notifier/steps";
import { EINVAL, ENOMEM, ENOSYS } from "../errno.js";
import { PAGE_SIZE } from "../geometry.js";
import type { Kernel } from "../kernel.js";
import { since } from "../kernel-profile.js";
import { madviseUpdateVma } from "../madvise/advise-flags.js";
import type { Thread } from "../thread.js";
import { VM_SEALED } from "../vma.js";
import { mmapWriteLock, mmapWriteUnlock } from "../vma/vma-lock.js";

/** mseal(2), since v6.10, in bytes: the mappings can no more be changed, moved or removed. 0 or -errno. */
export function sysMseal(k: Kernel, t: Thread, start: number, length: number, flags = 0): Path<number> {
  return call("do_mseal", mseal(k, t, start, length, flags));
}

function* mseal(k: Kernel, t: Thread, startBytes: number, length: number, flags: number): Path<number> {
  if (!since(k.profile, 6, 10)) return -ENOSYS;
  if (flags !== 0 || startBytes % PAGE_SIZE !== 0) return -EINVAL;
  const start = startBytes / PAGE_SIZE;
  const end = start + Math.ceil(length / PAGE_SIZE);
  if (!(length >= 0) || end >= 2 ** 52) return -EINVAL;
  if (end === start) return 0;
  yield* mmapWriteLock(k, t.mm);
  const error = yield* sealRange(k, t, start, end);
  yield* mmapWriteUnlock(k, t.mm);
  return error;
}

function* sealRange(k: Kernel, t: Thread, start: number, end: number): Path<number> {
  const list = yield step("mm->mm_mt", () => k.mms.vmaList(t.mm));
  const hole = yield step("range_contains_unmapped", () => {
    for (let at = start; at < end;) {
      const vma = k.vmas.lookup(list, at);
      if (vma === 0) return 1;
      at = k.vmas.end(vma);
    }
    return 0;
  });
  if (hole !== 0) return -ENOMEM;
  for (let at = start; at < end;) {
    const here = at;
    const vma = yield step("for_each_vma_range", () => k.vmas.lookup(list, here));
    const next = yield step("vma->vm_end", () => Math.min(end, k.vmas.end(vma)));
    const flags = yield step("vma->vm_flags", () => (k.vmas.flags(vma) | VM_SEALED) >>> 0);
    const error = yield* madviseUpdateVma(k, t.cpu, vma, at, next, flags | 0);
    if (error !== 0) return error;
    at = next;
  }
  return 0;
}
