import { type Path, step } from "@mmu-notifier/steps";
import type { Kernel } from "../kernel.js";
import { insertPfnPmd } from "../fault/insert-pfn.js";
import { VM_FAULT_FALLBACK, type VmFault } from "../fault/vm-fault.js";
import { VM_SHARED } from "../vma.js";
import { hugeBase } from "./huge-zero.js";
import { thpVmaSuitable } from "./thp-eligible.js";

/** dax_iomap_pmd_fault(): maps a block of a DAX file whose frames are contiguous and aligned with one entry. */
export function* daxHugeFault(k: Kernel, vmf: VmFault): Path<number> {
  if (vmf.write && !vmf.has(VM_SHARED)) return VM_FAULT_FALLBACK;
  const pfn = yield step("dax_iomap_pmd_fault", () => {
    if (!thpVmaSuitable(k, vmf.vma, vmf.vpn)) return 0;
    const inode = k.files.inode(k.vmas.file(vmf.vma));
    const first = k.vmas.linearIndex(vmf.vma, hugeBase(k, vmf.vpn));
    const pages = k.tables.hugePages;
    if (first + pages > k.files.size(inode)) return 0;
    const frame = k.files.stored(inode, first);
    if (frame === 0 || frame % pages !== 0) return 0;
    for (let i = 1; i < pages; i++) if (k.files.stored(inode, first + i) !== frame + i) return 0;
    return frame;
  });
  if (pfn === 0) return VM_FAULT_FALLBACK;
  return yield* insertPfnPmd(k, vmf, pfn, vmf.write);
}
