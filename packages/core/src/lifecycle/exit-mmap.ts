import { call, downRead, type Path, step, upRead } from "@mmu-notifier/steps";
import type { Kernel } from "../kernel.js";
import { MMF_EXITING, MMF_OOM_SKIP } from "../mm.js";
import type { Thread } from "../thread.js";
import { tlbGatherMmuFullmm } from "../tlb/mmu-gather.js";
import { freePgtables } from "../unmap/free-pgtables.js";
import { unmapVmas } from "../unmap/unmap-vmas.js";
import { removeVma } from "../vma/remove-vma.js";
import { taskPages } from "../vma/task-size.js";
import { mmapWriteLock, mmapWriteUnlock } from "../vma/vma-lock.js";

/**
 * exit_mmap(): the subscribers' release first, so that no device walks these tables any more; then everything goes under one
 * UNMAP notification of the whole space, which only interval notifiers still hear.
 */
export function exitMmap(k: Kernel, t: Thread): Path {
  return call("exit_mmap", exit(k, t));
}

function* exit(k: Kernel, t: Thread): Path {
  const { mm } = t;
  yield step("mm_users == 0", () => {
    k.mms.setFlag(mm, MMF_EXITING);
    return 0;
  });
  yield* k.bus.release(mm);
  const lock = k.mms.mmapLock(mm);
  yield downRead(lock);
  const list = yield step("mm->mm_mt", () => k.mms.vmaList(mm));
  const vmas: number[] = [];
  const count = yield step("mm->map_count", () => k.vmas.count(list));
  for (let i = 0; i < count; i++) vmas.push(yield step("for_each_vma", () => k.vmas.at(list, i)));
  if (vmas.length === 0) {
    yield upRead(lock);
    return;
  }
  const tlb = yield* tlbGatherMmuFullmm(k, t.cpu, mm);
  yield* unmapVmas(k, t.cpu, tlb, vmas, 0, Infinity);
  yield upRead(lock);
  yield step("MMF_OOM_SKIP", () => {
    k.mms.setFlag(mm, MMF_OOM_SKIP);
    return 0;
  });
  yield* mmapWriteLock(k, mm);
  yield* freePgtables(k, tlb, k.tables.first, taskPages(k), 0, k.tables.pages);
  yield* tlb.finish();
  yield step("remove_vma", () => {
    for (const vma of vmas) {
      k.vmas.remove(list, vma);
      removeVma(k, vma);
    }
    return 0;
  });
  yield* mmapWriteUnlock(k, mm);
}
