import { call, downReadTrylock, type Path, step, upRead } from "@mmu-notifier/steps";
import { EAGAIN, ENOSYS } from "../errno.js";
import { PAGE_SIZE } from "../geometry.js";
import type { Kernel } from "../kernel.js";
import { since } from "../kernel-profile.js";
import { MMF_OOM_SKIP, MMF_UNSTABLE } from "../mm.js";
import type { Thread } from "../thread.js";
import { tlbGatherMmu } from "../tlb/mmu-gather.js";
import { ZAP_UNMAP } from "../unmap/zap-details.js";
import { unmapPageRange } from "../unmap/zap-range.js";
import { VM_HUGETLB, VM_PFNMAP, VM_SHARED } from "../vma.js";

/**
 * process_mrelease(2) of a dying process's mm `t.mm`: takes its private memory before it exits itself.
 *
 * @returns 0, -EAGAIN when something could not be taken, -ENOSYS before v5.15
 */
export function sysProcessMrelease(k: Kernel, t: Thread): Path<number> {
  return call("process_mrelease", mrelease(k, t));
}

function* mrelease(k: Kernel, t: Thread): Path<number> {
  if (!since(k.profile, 5, 15)) return -ENOSYS;
  const lock = k.mms.mmapLock(t.mm);
  if ((yield downReadTrylock(lock)) === 0) return -EAGAIN;
  const skip = yield step("MMF_OOM_SKIP", () => k.mms.flags(t.mm) & MMF_OOM_SKIP);
  const reaped = skip !== 0 || (yield* oomReapTaskMm(k, t));
  yield upRead(lock);
  return reaped ? 0 : -EAGAIN;
}

/**
 * __oom_reap_task_mm(): zaps anonymous and private memory, VMA after VMA, without ever sleeping in a subscriber. It is the only
 * caller of the non-blockable start: a VMA whose subscriber refuses is skipped, without an end. mmap_lock held for reading.
 *
 * @returns false if a VMA was skipped
 */
export function oomReapTaskMm(k: Kernel, t: Thread): Path<boolean> {
  return call("__oom_reap_task_mm", reap(k, t));
}

function* reap(k: Kernel, { cpu, mm }: Thread): Path<boolean> {
  yield step("MMF_UNSTABLE", () => {
    k.mms.setFlag(mm, MMF_UNSTABLE);
    return 0;
  });
  const list = yield step("mm->mm_mt", () => k.mms.vmaList(mm));
  const count = yield step("mm->map_count", () => k.vmas.count(list));
  let complete = true;
  for (let i = 0; i < count; i++) {
    const vma = yield step("for_each_vma", () => {
      const at = k.vmas.at(list, i);
      return k.vmas.has(at, VM_HUGETLB | VM_PFNMAP) || (k.vmas.file(at) !== 0 && k.vmas.has(at, VM_SHARED)) ? 0 : at;
    });
    if (vma === 0) continue;
    const start = yield step("vma->vm_start", () => k.vmas.start(vma));
    const end = yield step("vma->vm_end", () => k.vmas.end(vma));
    const range = { mm, start: start * PAGE_SIZE, end: end * PAGE_SIZE, event: k.profile.oomReapEvent };
    const tlb = yield* tlbGatherMmu(k, cpu, mm);
    if ((yield* k.bus.invalidateRangeStartNonblock(range)) !== 0) {
      yield* tlb.finish();
      complete = false;
      continue;
    }
    yield* unmapPageRange(k, cpu, tlb, vma, start, end, ZAP_UNMAP);
    yield* k.bus.invalidateRangeEnd(range);
    yield* tlb.finish();
  }
  return complete;
}
