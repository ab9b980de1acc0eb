import { type Path, upRead } from "@mmu-notifier/steps";
import { INODE_DAX, INODE_PFNMAP } from "../file.js";
import type { Kernel } from "../kernel.js";
import { FAULT_FLAG_VMA_LOCK, VM_FAULT_RETRY, type VmFault } from "./vm-fault.js";

/** release_fault_lock(): drops whichever lock the fault was entered with. */
export function* releaseFaultLock(k: Kernel, vmf: VmFault): Path {
  yield upRead((vmf.flags & FAULT_FLAG_VMA_LOCK) !== 0 ? k.vmas.lock(vmf.vma) : k.mms.mmapLock(vmf.mm));
}

/** vmf_can_call_fault(): handlers that cannot map around want mmap_lock; 0, or VM_FAULT_RETRY with the VMA's lock dropped. */
export function* vmfCanCallFault(k: Kernel, vmf: VmFault): Path<number> {
  const mapsAround = vmf.kind !== INODE_DAX && vmf.kind !== INODE_PFNMAP;
  if (mapsAround || (vmf.flags & FAULT_FLAG_VMA_LOCK) === 0) return 0;
  yield* releaseFaultLock(k, vmf);
  return VM_FAULT_RETRY;
}
