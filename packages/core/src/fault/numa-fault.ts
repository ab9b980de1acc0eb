import { call, type Path, step } from "@mmu-notifier/steps";
import { PG_ANON } from "../page.js";
import { PMD_LEVEL, PTE_LEVEL, type Ptep } from "../page-table.js";
import type { Kernel } from "../kernel.js";
import { since } from "../kernel-profile.js";
import { type Pte, PTE_SOFT_DIRTY, pteMkyoung, pteProtnone, pteUffdWp, pteWrite, ptePfn } from "../pte.js";
import { ptepModifyProtCommit, ptepModifyProtStart, setPteAt } from "../tlb/ptep.js";
import { updateMmuCache } from "../tlb/set-access-flags.js";
import { VM_SHARED, VM_SOFTDIRTY, VM_UFFD_WP, VM_WRITE } from "../vma.js";
import { vmNormalPage } from "./normal-page.js";
import { lockPtl, unlockPtl } from "./pte-map.js";
import type { VmFault } from "./vm-fault.js";
import { vmaWantsWritenotify, vmPageProt } from "./vm-page-prot.js";

/**
 * can_change_pte_writable(): an entry of a writable VMA that lost its write bit may get it back without a fault: the page is
 * exclusive to this mm, or a shared page whose file already knows that it is dirty. Inside a step.
 */
export function canChangePteWritable(k: Kernel, vmFlags: number, pte: Pte): boolean {
  if ((vmFlags & VM_WRITE) === 0 || pteProtnone(pte)) return false;
  if (needsSoftDirtyWp(k, vmFlags, pte) || ((vmFlags & VM_UFFD_WP) !== 0 && pteUffdWp(pte))) return false;
  if ((vmFlags & VM_SHARED) !== 0) return k.pte.dirty(pte);
  const page = vmNormalPage(pte);
  return page !== 0 && k.pages.test(page, PG_ANON) && k.pages.anonExclusive(page);
}

function needsSoftDirtyWp(k: Kernel, vmFlags: number, pte: Pte): boolean {
  return k.config.softDirty && (vmFlags & VM_SOFTDIRTY) === 0 && (pte & PTE_SOFT_DIRTY) === 0;
}

/** vma_wants_manual_pte_write_upgrade(): vm_page_prot alone does not give the write bit back. */
function vmaWantsManualPteWriteUpgrade(k: Kernel, vmFlags: number, kind: number): boolean {
  return (vmFlags & VM_SHARED) !== 0 ? vmaWantsWritenotify(k, vmFlags, kind) : (vmFlags & VM_WRITE) !== 0;
}

/** do_numa_page(): a NUMA hint, present to software only. The page stays where it is and is mapped again; nothing is announced. */
export function doNumaPage(k: Kernel, vmf: VmFault): Path<number> {
  return call("do_numa_page", numaPage(k, vmf, vmf.ptep, PTE_LEVEL));
}

/** do_huge_pmd_numa_page(). */
export function doHugePmdNumaPage(k: Kernel, vmf: VmFault): Path<number> {
  return call("do_huge_pmd_numa_page", numaPage(k, vmf, vmf.pmdp, PMD_LEVEL));
}

function* numaPage(k: Kernel, vmf: VmFault, ptep: Ptep, level: number): Path<number> {
  yield lockPtl(k, ptep);
  const same = yield step("pte_same", () => (k.tables.get(ptep) === vmf.origPte ? 1 : 0));
  if (same !== 0) {
    const modified = k.pte.modify(vmf.origPte, vmPageProt(k, vmf.vmFlags, vmf.kind));
    const entry = yield step("can_change_pte_writable", () => {
      const upgrade =
        since(k.profile, 6, 2) &&
        !pteWrite(modified) &&
        vmaWantsManualPteWriteUpgrade(k, vmf.vmFlags, vmf.kind) &&
        (level === PTE_LEVEL
          ? canChangePteWritable(k, vmf.vmFlags, modified)
          : canChangePmdWritable(k, vmf.vmFlags, modified));
      const young = pteMkyoung(modified);
      return pteWrite(modified) || upgrade ? k.pte.mkwrite(young) : young;
    });
    const base = vmf.vpn - (vmf.vpn % k.tables.span[level]!);
    if (level === PTE_LEVEL) {
      yield ptepModifyProtStart(k, ptep);
      yield ptepModifyProtCommit(k, vmf.mm, vmf.vpn, ptep, entry);
    } else yield setPteAt(k, vmf.mm, base, ptep, entry);
    yield* updateMmuCache(k, vmf.cpu, vmf.mm, vmf.vpn);
  }
  yield unlockPtl(k, ptep);
  return 0;
}

/** can_change_pmd_writable(). Inside a step. */
function canChangePmdWritable(k: Kernel, vmFlags: number, pmd: Pte): boolean {
  if ((vmFlags & VM_WRITE) === 0 || pteProtnone(pmd)) return false;
  if (needsSoftDirtyWp(k, vmFlags, pmd) || ((vmFlags & VM_UFFD_WP) !== 0 && pteUffdWp(pmd))) return false;
  if ((vmFlags & VM_SHARED) !== 0) return k.pte.dirty(pmd);
  return vmNormalPage(pmd) !== 0 && k.pages.test(ptePfn(pmd), PG_ANON) && k.pages.anonExclusive(ptePfn(pmd));
}
