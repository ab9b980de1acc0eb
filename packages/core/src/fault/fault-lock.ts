import { type Path, upRead } from "@mmu-notifier/steps";
import type { Kernel } from "../kernel.js";
import { FAULT_FLAG_VMA_LOCK, type VmFault } from "./vm-fault.js";

/** release_fault_lock(): drops whichever lock the fault was entered with. */
export function* releaseFaultLock(k: Kernel, vmf: VmFault): Path {
  yield upRead((vmf.flags & FAULT_FLAG_VMA_LOCK) !== 0 ? k.vmas.lock(vmf.vma) : k.mms.mmapLock(vmf.mm));
}
