import { call, type Path, preemptDisable, preemptEnable, step } from "@mmu-notifier/steps";
import { EAGAIN } from "../errno.js";
import type { Kernel } from "../kernel.js";
import { since } from "../kernel-profile.js";
import { PTE_LEVEL } from "../page-table.js";
import { ptePfn, pteMkyoung, pteYoung } from "../pte.js";
import { ptepSetAccessFlags, updateMmuCache } from "../tlb/set-access-flags.js";
import { lockPtl, pteUnchanged, unlockPtl } from "./pte-map.js";
import { notifyProtectionUpgrade, upgradeEventDue } from "./upgrade-event.js";
import type { VmFault } from "./vm-fault.js";

const FAULTED = -1;

/**
 * __wp_page_copy_user() without a source page: the old frame has no struct page (a PFN map), so the kernel reads it through
 * the user's own mapping, with page faults off. Where hardware does not set the access flag the entry is made young first, so
 * that this read succeeds; from then on the PTL is held to the end, and in the patch its notifier call comes before that end.
 *
 * @param copy the new page
 * @returns 0, or -EAGAIN when the entry has changed
 */
export function wpPageCopyUser(k: Kernel, vmf: VmFault, copy: number): Path<number> {
  return call("__wp_page_copy_user", copyUser(k, vmf, copy));
}

function* copyUser(k: Kernel, vmf: VmFault, copy: number): Path<number> {
  // kmap_atomic() switched preemption off; kmap_local_page() and pagefault_disable() do not.
  const atomic = !since(k.profile, 6, 5);
  if (atomic) yield preemptDisable();
  const result = yield* copyInatomic(k, vmf, copy);
  if (atomic) yield preemptEnable();
  return result;
}

function* copyInatomic(k: Kernel, vmf: VmFault, copy: number): Path<number> {
  let locked = false;
  let changed = 0;
  if (!k.arch.cpu.HA && !pteYoung(vmf.origPte)) {
    yield lockPtl(k, vmf.ptep);
    locked = true;
    const same = yield step("pte_same", () => (pteUnchanged(k, vmf) ? 1 : 0));
    if (same === 0) {
      yield unlockPtl(k, vmf.ptep);
      return -EAGAIN;
    }
    const young = pteMkyoung(vmf.origPte);
    changed = yield* ptepSetAccessFlags(k, vmf.cpu, vmf.mm, vmf.vpn, vmf.ptep, young, false, "__wp_page_copy_user");
    if (changed !== 0) yield* updateMmuCache(k, vmf.cpu, vmf.mm, vmf.vpn);
  }
  let read = yield copyFromUser(k, vmf, copy);
  if (read === FAULTED && !locked) {
    yield lockPtl(k, vmf.ptep);
    locked = true;
    const same = yield step("pte_same", () => (pteUnchanged(k, vmf) ? 1 : 0));
    if (same === 0) {
      yield unlockPtl(k, vmf.ptep);
      return -EAGAIN;
    }
    read = yield copyFromUser(k, vmf, copy);
  }
  if (read === FAULTED) {
    yield step("clear_page", () => {
      k.pages.setContent(copy, 0);
      return 0;
    });
  }
  if (upgradeEventDue(k, "wpPageCopyUser", "under-ptl", changed))
    yield* notifyProtectionUpgrade(k, vmf.mm, vmf.vpn, vmf.vpn + 1);
  if (locked) yield unlockPtl(k, vmf.ptep);
  if (upgradeEventDue(k, "wpPageCopyUser", "after-ptl", changed))
    yield* notifyProtectionUpgrade(k, vmf.mm, vmf.vpn, vmf.vpn + 1);
  return 0;
}

/** __copy_from_user_inatomic(): reads through the mapping as hardware would; a fault is not resolved. */
function copyFromUser(k: Kernel, vmf: VmFault, copy: number) {
  return step("__copy_from_user_inatomic", () => {
    const ptep = k.tables.find(k.mms.pgd(vmf.mm), PTE_LEVEL, vmf.vpn);
    const pte = ptep === 0 ? 0 : k.tables.get(ptep);
    if (!k.pte.hwReadable(pte, k.arch.cpu.HA)) return FAULTED;
    if (!pteYoung(pte)) k.tables.set(ptep, pteMkyoung(pte));
    k.pages.setContent(copy, k.pages.content(ptePfn(pte)));
    return 0;
  });
}
