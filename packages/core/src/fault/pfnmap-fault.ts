import { type Path, step } from "@mmu-notifier/steps";
import type { Kernel } from "../kernel.js";
import { insertPfn } from "./insert-pfn.js";
import { VM_FAULT_SIGBUS, type VmFault } from "./vm-fault.js";

/** ->fault() of a device that maps frames without struct page: vmf_insert_pfn(). */
export function* pfnmapFault(k: Kernel, vmf: VmFault): Path<number> {
  const pfn = yield step("vmf->pgoff", () => {
    const inode = k.files.inode(k.vmas.file(vmf.vma));
    return k.files.stored(inode, k.vmas.linearIndex(vmf.vma, vmf.vpn));
  });
  if (pfn === 0) return VM_FAULT_SIGBUS;
  return yield* insertPfn(k, vmf, pfn, false);
}
