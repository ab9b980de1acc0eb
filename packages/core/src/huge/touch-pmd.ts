import { call, type Path, step } from "@mmu-notifier/steps";
import type { Kernel } from "../kernel.js";
import { PMD_LEVEL, type Ptep } from "../page-table.js";
import { type Pte, pteHugeLeaf, pteMkyoung } from "../pte.js";
import { ptepSetAccessFlags, updateMmuCache } from "../tlb/set-access-flags.js";
import { lockPtl, unlockPtl } from "../fault/pte-map.js";
import { notifyProtectionUpgrade, upgradeEventDue } from "../fault/upgrade-event.js";
import { hugeBase } from "./huge-zero.js";
import type { VmFault } from "../fault/vm-fault.js";

/** huge_pmd_set_accessed(): a huge entry allows the access but is old, or clean on a write. */
export function hugePmdSetAccessed(k: Kernel, vmf: VmFault): Path {
  return call("huge_pmd_set_accessed", touch(k, vmf.cpu, vmf.mm, vmf.vpn, vmf.pmdp, vmf.origPte, vmf.write));
}

/** follow_trans_huge_pmd() with FOLL_TOUCH: GUP uses a huge entry as it is. */
export function* touchPmdFromGup(k: Kernel, cpu: number, mm: number, vpn: number, write: boolean): Path {
  const pmdp = yield step("pmd_offset", () => k.tables.find(k.mms.pgd(mm), PMD_LEVEL, vpn));
  if (pmdp === 0) return;
  const pmd = yield step("pmdp_get", () => k.tables.get(pmdp));
  if (pteHugeLeaf(pmd)) yield* call("follow_trans_huge_pmd", touch(k, cpu, mm, vpn, pmdp, pmd, write));
}

/** touch_pmd() under the lock of the PMD table: young, and dirty on a write. Nothing if the entry has changed. */
function* touch(k: Kernel, cpu: number, mm: number, vpn: number, pmdp: Ptep, pmd: Pte, write: boolean): Path {
  yield lockPtl(k, pmdp);
  const same = yield step("pmd_same", () => (k.tables.get(pmdp) === pmd ? 1 : 0));
  let result = 0;
  if (same !== 0) {
    const young = pteMkyoung(pmd);
    result = yield* ptepSetAccessFlags(k, cpu, mm, vpn, pmdp, write ? k.pte.mkdirty(young) : young, write, "touch_pmd");
    if (result !== 0) yield* updateMmuCache(k, cpu, mm, vpn);
  }
  yield unlockPtl(k, pmdp);
  if (upgradeEventDue(k, "touchPmd", "after-ptl", result)) {
    const base = hugeBase(k, vpn);
    yield* notifyProtectionUpgrade(k, mm, base, base + k.tables.hugePages);
  }
}
