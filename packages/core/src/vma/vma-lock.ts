import { downgradeWrite, downWrite, type Path, step, upWrite } from "@mmu-notifier/steps";
import type { Kernel } from "../kernel.js";

/** mmap_write_lock(). */
export function* mmapWriteLock(k: Kernel, mm: number): Path {
  yield downWrite(k.mms.mmapLock(mm));
}

/** mmap_write_unlock(): the VMAs that were locked for writing are free for faults again. */
export function* mmapWriteUnlock(k: Kernel, mm: number): Path {
  yield* vmaEndWriteAll(k, mm);
  yield upWrite(k.mms.mmapLock(mm));
}

/** mmap_write_downgrade(): from writer to reader. */
export function* mmapWriteDowngrade(k: Kernel, mm: number): Path {
  yield* vmaEndWriteAll(k, mm);
  yield downgradeWrite(k.mms.mmapLock(mm));
}

/**
 * vma_start_write(): waits for faults that use the VMA under its lock; new ones fall back to mmap_lock. Nothing in kernels without
 * that lock.
 */
export function* vmaStartWrite(k: Kernel, vma: number): Path {
  if (k.profile.perVmaLock === "no") return;
  const lock = k.vmas.lock(vma);
  yield downWrite(lock, 1);
  yield step("vma_start_write", () => {
    k.vmas.startWrite(vma);
    return 0;
  });
  yield upWrite(lock);
}

/** vma_end_write_all(): faults may use the VMAs of the mm under their own locks again. */
export function* vmaEndWriteAll(k: Kernel, mm: number): Path {
  if (k.profile.perVmaLock === "no") return;
  yield step("vma_end_write_all", () => {
    k.vmas.endWriteAll(k.mms.vmaList(mm));
    return 0;
  });
}
