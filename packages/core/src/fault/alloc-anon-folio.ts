import { mightSleep, type Path, step } from "@mmu-notifier/steps";
import { hugeOrder } from "../huge/huge-zero.js";
import { vmaThpDisabled } from "../huge/thp-eligible.js";
import type { Kernel } from "../kernel.js";
import { PTE_LEVEL } from "../page-table.js";
import { pteNone } from "../pte.js";
import { VM_HUGETLB, VM_SPECIAL } from "../vma.js";
import { userfaultfdArmed } from "./userfault.js";
import type { VmFault } from "./vm-fault.js";

/**
 * alloc_anon_folio(): a zeroed folio for an anonymous write fault, of the largest order that is enabled, fits into the VMA around
 * the page, and finds none of its entries taken. May sleep and reclaim.
 *
 * @returns its first frame
 */
export function* allocAnonFolio(k: Kernel, vmf: VmFault): Path<number> {
  yield mightSleep("alloc_anon_folio");
  return yield step("alloc_anon_folio", () => k.pages.alloc(anonOrder(k, vmf)));
}

function anonOrder(k: Kernel, vmf: VmFault): number {
  if (userfaultfdArmed(vmf) || vmf.has(VM_SPECIAL | VM_HUGETLB)) return 0;
  let orders = k.anonOrders.allowed(vmf.vmFlags, k.config.thp, hugeOrder(k));
  if (orders === 0 || vmaThpDisabled(k, vmf.mm, vmf.vmFlags)) return 0;
  for (let order = hugeOrder(k) - 1; orders !== 0; order--) {
    if ((orders & (1 << order)) === 0) continue;
    if (fits(k, vmf, 1 << order)) return order;
    orders &= ~(1 << order);
  }
  return 0;
}

/** thp_vma_suitable_order(), pte_range_none(): the naturally aligned block of `pages` around the fault is inside the VMA and empty. */
function fits(k: Kernel, vmf: VmFault, pages: number): boolean {
  const start = vmf.vpn - (vmf.vpn % pages);
  if (start < k.vmas.start(vmf.vma) || start + pages > k.vmas.end(vmf.vma)) return false;
  return pteRangeNone(k, vmf.mm, start, pages);
}

/** pte_range_none(): no entry of [start, start + pages), which lie in one table, is taken. Inside a step. */
export function pteRangeNone(k: Kernel, mm: number, start: number, pages: number): boolean {
  const ptep = k.tables.find(k.mms.pgd(mm), PTE_LEVEL, start);
  if (ptep === 0) return false;
  for (let i = 0; i < pages; i++) if (!pteNone(k.tables.get(ptep + i))) return false;
  return true;
}
