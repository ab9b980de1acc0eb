import { call, type Path, step } from "@mmu-notifier/steps";
import type { Kernel } from "../kernel.js";
import { PTE_LEVEL } from "../page-table.js";
import { pteMkyoung, pteNone, ptePresent, pteProtnone, pteWrite } from "../pte.js";
import { flushTlbFixSpuriousFault, ptepSetAccessFlags, updateMmuCache } from "../tlb/set-access-flags.js";
import { VM_ACCESS_FLAGS } from "../vma.js";
import { doNumaPage } from "./numa-fault.js";
import { lockPtl, packedPte, packedPtep, packEntry, pteUnchanged, unlockPtl } from "./pte-map.js";
import { doPteMissing } from "./pte-missing.js";
import { doSwapPage } from "./swap-fault.js";
import { notifyProtectionUpgrade, upgradeEventDue } from "./upgrade-event.js";
import { FAULT_FLAG_TRIED, type VmFault } from "./vm-fault.js";
import { doWpPage } from "./write-protect-fault.js";

/** handle_pte_fault(): looks at the last-level entry without its lock and picks who handles it. */
export function handlePteFault(k: Kernel, vmf: VmFault): Path<number> {
  return call("handle_pte_fault", pteFault(k, vmf));
}

function* pteFault(k: Kernel, vmf: VmFault): Path<number> {
  const snapshot = yield step("pte_offset_map, ptep_get_lockless", () => {
    const ptep = k.tables.find(k.mms.pgd(vmf.mm), PTE_LEVEL, vmf.vpn);
    return ptep === 0 ? 0 : packEntry(ptep, k.tables.get(ptep));
  });
  vmf.ptep = packedPtep(snapshot);
  vmf.origPte = packedPte(snapshot);
  const pte = vmf.origPte;
  if (pteNone(pte)) return yield* doPteMissing(k, vmf);
  if (!ptePresent(pte)) return yield* doSwapPage(k, vmf);
  if (pteProtnone(pte) && vmf.has(VM_ACCESS_FLAGS)) return yield* doNumaPage(k, vmf);
  return yield* presentFault(k, vmf);
}

/** The entry is there but does not allow the access, or has allowed it meanwhile. */
function* presentFault(k: Kernel, vmf: VmFault): Path<number> {
  const { ptep, mm, vpn } = vmf;
  yield lockPtl(k, ptep);
  const same = yield step("pte_same", () => (pteUnchanged(k, vmf) ? 1 : 0));
  if (same === 0) {
    yield unlockPtl(k, ptep);
    return 0;
  }
  let entry = vmf.origPte;
  if (vmf.breaksSharing) {
    if (!pteWrite(entry)) return yield* doWpPage(k, vmf);
    if (vmf.write) entry = k.pte.mkdirty(entry);
  }
  entry = pteMkyoung(entry);
  const result = yield* ptepSetAccessFlags(k, vmf.cpu, mm, vpn, ptep, entry, vmf.write, "handle_pte_fault");
  if (result !== 0) yield* updateMmuCache(k, vmf.cpu, mm, vpn);
  else if ((vmf.flags & FAULT_FLAG_TRIED) === 0 && vmf.write) yield* flushTlbFixSpuriousFault(k, vmf.cpu, mm, vpn);
  yield unlockPtl(k, ptep);
  if (upgradeEventDue(k, "handlePteFault", "after-ptl", result)) yield* notifyProtectionUpgrade(k, mm, vpn, vpn + 1);
  return 0;
}
