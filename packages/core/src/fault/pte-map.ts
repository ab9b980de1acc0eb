import { mightSleep, type Path, spinLock, spinUnlock, step, type Step } from "@mmu-notifier/steps";
import type { Kernel } from "../kernel.js";
import { PTE_LEVEL, type Ptep } from "../page-table.js";
import type { Pte } from "../pte.js";
import type { VmFault } from "./vm-fault.js";

/** spin_lock(ptl) of the table that `ptep` lies in. */
export function lockPtl(k: Kernel, ptep: Ptep): Step {
  return spinLock(k.tables.ptl(k.tables.tableOf(ptep)));
}

export function unlockPtl(k: Kernel, ptep: Ptep): Step {
  return spinUnlock(k.tables.ptl(k.tables.tableOf(ptep)));
}

/** pte_alloc(): the entry of the faulting page, allocating tables; false when an upper entry is a leaf. May sleep. */
export function* pteAlloc(k: Kernel, vmf: VmFault): Path<boolean> {
  yield mightSleep("pte_alloc");
  vmf.ptep = yield step("pte_alloc", () => k.tables.findOrCreate(k.mms.pgd(vmf.mm), PTE_LEVEL, vmf.vpn));
  return vmf.ptep !== 0;
}

/** Under the PTL: the table is still in place and the entry is still what the fault decided on. Inside a step. */
export function pteUnchanged(k: Kernel, vmf: VmFault): boolean {
  return k.tables.find(k.mms.pgd(vmf.mm), PTE_LEVEL, vmf.vpn) === vmf.ptep && k.tables.get(vmf.ptep) === vmf.origPte;
}

const TWO_TO_32 = 2 ** 32;

/** An entry and where it lies, as one step result. */
export function packEntry(ptep: Ptep, pte: Pte): number {
  return ptep * TWO_TO_32 + (pte >>> 0);
}

/** Where the entry of {@link packEntry} lies. */
export function packedPtep(packed: number): Ptep {
  return Math.floor(packed / TWO_TO_32);
}

/** The entry of {@link packEntry}. */
export function packedPte(packed: number): Pte {
  return packed | 0;
}
