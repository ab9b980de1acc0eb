import { call, type Path, step } from "@mmu-notifier/steps";
import { EFAULT, ENOMEM } from "../errno.js";
import { handleMmFault } from "../fault/handle-mm-fault.js";
import {
  FAULT_FLAG_REMOTE,
  FAULT_FLAG_UNSHARE,
  FAULT_FLAG_WRITE,
  VM_FAULT_OOM,
  VM_FAULT_SIGBUS,
  VM_FAULT_SIGSEGV,
} from "../fault/vm-fault.js";
import type { Kernel } from "../kernel.js";
import { since } from "../kernel-profile.js";
import { PG_KSM } from "../page.js";
import { PTE_LEVEL } from "../page-table.js";
import { ptePfn, ptePresent, pteSpecial } from "../pte.js";

const DONE = -1;

/**
 * unmerge_ksm_pages(): gives each merged page of [start, end) back to `vma` as a page of its own, by faults that break the
 * sharing. mmap_lock held.
 *
 * @returns 0 or -errno
 */
export function unmergeKsmPages(k: Kernel, cpu: number, vma: number, start: number, end: number): Path<number> {
  return call("unmerge_ksm_pages", unmerge(k, cpu, vma, start, end));
}

function* unmerge(k: Kernel, cpu: number, vma: number, start: number, end: number): Path<number> {
  const mm = yield step("vma->vm_mm", () => k.vmas.mm(vma));
  for (let at = start; ; at++) {
    const from = at;
    at = yield step("break_ksm", () => nextMerged(k, mm, from, end));
    if (at === DONE) return 0;
    // Up to v6.1 a write fault did it, which needs no permission of the VMA.
    const how = since(k.profile, 6, 2) ? FAULT_FLAG_UNSHARE : FAULT_FLAG_WRITE;
    const fault = yield* handleMmFault(k, cpu, vma, at, how | FAULT_FLAG_REMOTE);
    if ((fault & VM_FAULT_OOM) !== 0) return -ENOMEM;
    if ((fault & (VM_FAULT_SIGBUS | VM_FAULT_SIGSEGV)) !== 0) return -EFAULT;
  }
}

function nextMerged(k: Kernel, mm: number, from: number, end: number): number {
  const pgd = k.mms.pgd(mm);
  for (let vpn = from; vpn < end; vpn++) {
    const ptep = k.tables.find(pgd, PTE_LEVEL, vpn);
    if (ptep === 0) {
      vpn += k.tables.hugePages - 1 - (vpn % k.tables.hugePages);
      continue;
    }
    const pte = k.tables.get(ptep);
    if (ptePresent(pte) && !pteSpecial(pte) && k.pages.test(ptePfn(pte), PG_KSM)) return vpn;
  }
  return DONE;
}
