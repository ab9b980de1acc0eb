import { call, type Path } from "@mmu-notifier/steps";
import type { Kernel } from "../kernel.js";
import { mkPte } from "../pte.js";
import { folioAddRmap } from "../rmap/rmap.js";
import { placeEntry } from "./insert-pfn.js";
import { pteAlloc } from "./pte-map.js";
import { notifyProtectionUpgrade, upgradeEventDue } from "./upgrade-event.js";
import { VM_FAULT_NOPAGE, type VmFault } from "./vm-fault.js";
import { vmPageProt } from "./vm-page-prot.js";

/**
 * insert_page_into_pte_locked(): as insert_pfn(), for a page that is counted: the new entry holds a reference and a mapping. An
 * upgrade in place leaves it to hardware to set the dirty bit. Always VM_FAULT_NOPAGE.
 *
 * @param mkwrite vmf_insert_page_mkwrite() for a write fault
 */
export function insertPage(k: Kernel, vmf: VmFault, pfn: number, mkwrite: boolean): Path<number> {
  return call("insert_page", insert(k, vmf, pfn, mkwrite));
}

function* insert(k: Kernel, vmf: VmFault, pfn: number, mkwrite: boolean): Path<number> {
  if (!(yield* pteAlloc(k, vmf))) return VM_FAULT_NOPAGE;
  const fresh = mkPte(pfn, vmPageProt(k, vmf.vmFlags, vmf.kind));
  const result = yield* placeEntry(k, vmf, vmf.ptep, fresh, mkwrite, "insert_page_into_pte_locked", () => {
    k.pages.get(pfn);
    folioAddRmap(k, pfn);
  });
  if (upgradeEventDue(k, "insertPfn", "after-ptl", result))
    yield* notifyProtectionUpgrade(k, vmf.mm, vmf.vpn, vmf.vpn + 1);
  return VM_FAULT_NOPAGE;
}
