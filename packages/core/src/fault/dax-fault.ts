import { type Path, step } from "@mmu-notifier/steps";
import type { Kernel } from "../kernel.js";
import { PG_DIRTY } from "../page.js";
import { insertPage } from "./insert-page.js";
import { insertPfn } from "./insert-pfn.js";
import { VM_FAULT_NOPAGE, VM_FAULT_SIGBUS, type VmFault } from "./vm-fault.js";

/** dax_iomap_fault() for one page: looks the frame up in the file and maps it; a hole is filled. */
export function* daxFault(k: Kernel, vmf: VmFault): Path<number> {
  const pfn = yield daxPfn(k, vmf);
  if (pfn === 0) return VM_FAULT_SIGBUS;
  return yield* insertFrame(k, vmf, pfn, vmf.write);
}

/** dax_insert_pfn_mkwrite(): the entry of a page that was mapped read-only becomes writable. */
export function* daxInsertPfnMkwrite(k: Kernel, vmf: VmFault): Path<number> {
  const pfn = yield daxPfn(k, vmf);
  if (pfn === 0) return VM_FAULT_NOPAGE;
  return yield* insertFrame(k, vmf, pfn, true);
}

function insertFrame(k: Kernel, vmf: VmFault, pfn: number, mkwrite: boolean): Path<number> {
  return k.profile.daxPagesAreNormal ? insertPage(k, vmf, pfn, mkwrite) : insertPfn(k, vmf, pfn, mkwrite);
}

function daxPfn(k: Kernel, vmf: VmFault) {
  return step("dax_iomap_iter", () => {
    const inode = k.files.inode(k.vmas.file(vmf.vma));
    const pgoff = k.vmas.linearIndex(vmf.vma, vmf.vpn);
    if (pgoff >= k.files.size(inode)) return 0;
    const pfn = k.files.stored(inode, pgoff);
    if (pfn !== 0 && (vmf.write || k.profile.daxReadDirties)) k.pages.mark(pfn, PG_DIRTY);
    return pfn;
  });
}
