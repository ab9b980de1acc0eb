import { call, type Path, step } from "@mmu-notifier/steps";
import { PAGE_SIZE } from "../geometry.js";
import type { Kernel } from "../kernel.js";
import { since } from "../kernel-profile.js";
import { MMF_UNSTABLE } from "../mm.js";
import { PG_LOCKED, PG_SWAPCACHE } from "../page.js";
import { mkPte, pteMkhuge, pteMkyoung, ptePfn, pteUffdWp } from "../pte.js";
import { pmdpHugeClearFlushNotify, setPteAt } from "../tlb/ptep.js";
import { ptepSetAccessFlags, updateMmuCache } from "../tlb/set-access-flags.js";
import { VM_MAYSHARE, VM_SHARED } from "../vma.js";
import { INODE_DAX } from "../file.js";
import { lockPtl, unlockPtl } from "../fault/pte-map.js";
import { notifyProtectionUpgrade, upgradeEventDue } from "../fault/upgrade-event.js";
import { handleUserfault, userfaultfdWp, userfaultfdWpAsync } from "../fault/userfault.js";
import { faultWrite, VM_FAULT_FALLBACK, VM_FAULT_SIGBUS, type VmFault } from "../fault/vm-fault.js";
import { vmPageProt } from "../fault/vm-page-prot.js";
import { addNewAnonRmapPmd, allocThp } from "./anon-huge-fault.js";
import { daxHugeFault } from "./dax-huge-fault.js";
import { hugeBase, isHugeZeroPmd } from "./huge-zero.js";
import { splitHugePmd } from "./split-huge-pmd.js";

const CHANGED = 0;
const REUSE = 1;
const SPLIT = 2;

/**
 * wp_huge_pmd(): a write meets a huge entry without write permission. `vmf.pmdp` and `vmf.origPte` are the entry.
 *
 * @returns 0, or VM_FAULT_FALLBACK when the block was split and the base page has to be looked at
 */
export function* wpHugePmd(k: Kernel, vmf: VmFault): Path<number> {
  if (vmf.kind === 0) {
    if (vmf.unshare || !userfaultfdWp(vmf) || !pteUffdWp(vmf.origPte)) return yield* doHugePmdWpPage(k, vmf);
    const async = yield step("userfaultfd_wp_async", () => (userfaultfdWpAsync(k, vmf.vma) ? 1 : 0));
    if (async === 0) return yield* handleUserfault(k, vmf, "wp");
  } else if (vmf.has(VM_SHARED | VM_MAYSHARE) && vmf.kind === INODE_DAX) {
    const result = yield* daxHugeFault(k, vmf);
    if ((result & VM_FAULT_FALLBACK) === 0) return result;
  }
  yield* splitHugePmd(k, vmf.cpu, vmf.vma, vmf.vpn);
  return VM_FAULT_FALLBACK;
}

/** do_huge_pmd_wp_page(): reuses the THP when nobody else refers to it, else splits the entry. Nothing is ever copied whole. */
function doHugePmdWpPage(k: Kernel, vmf: VmFault): Path<number> {
  return call("do_huge_pmd_wp_page", hugeWpPage(k, vmf));
}

function* hugeWpPage(k: Kernel, vmf: VmFault): Path<number> {
  const zero = yield step("is_huge_zero_pmd", () => (isHugeZeroPmd(k, vmf.origPte) ? 1 : 0));
  if (zero !== 0) {
    if (since(k.profile, 6, 13)) return yield* hugeZeroWpPmd(k, vmf);
    yield* splitHugePmd(k, vmf.cpu, vmf.vma, vmf.vpn);
    return VM_FAULT_FALLBACK;
  }
  yield lockPtl(k, vmf.pmdp);
  const decision = yield step("pmd_same", () =>
    k.tables.get(vmf.pmdp) !== vmf.origPte ? CHANGED : reusable(k, ptePfn(vmf.origPte)) ? REUSE : SPLIT,
  );
  let result = 0;
  if (decision === REUSE && !vmf.unshare) {
    const entry = k.pte.maybeMkwrite(k.pte.mkdirty(pteMkyoung(vmf.origPte)), vmf.vmFlags);
    result = yield* ptepSetAccessFlags(k, vmf.cpu, vmf.mm, vmf.vpn, vmf.pmdp, entry, true, "do_huge_pmd_wp_page");
    if (result !== 0) yield* updateMmuCache(k, vmf.cpu, vmf.mm, vmf.vpn);
  }
  yield unlockPtl(k, vmf.pmdp);
  if (upgradeEventDue(k, "doHugePmdWpPage", "after-ptl", result)) yield* notifyBlock(k, vmf);
  if (decision !== SPLIT) return decision === REUSE && !vmf.unshare ? faultWrite(k) : 0;
  yield* splitHugePmd(k, vmf.cpu, vmf.vma, vmf.vpn);
  return VM_FAULT_FALLBACK;
}

function notifyBlock(k: Kernel, vmf: VmFault): Path {
  const base = hugeBase(k, vmf.vpn);
  return notifyProtectionUpgrade(k, vmf.mm, base, base + k.tables.hugePages);
}

/** AnonExclusive already, or the mapping's reference is the only one. Up to v5.18 the map count decided. Inside a step. */
function reusable(k: Kernel, head: number): boolean {
  if (!since(k.profile, 5, 19)) return k.pages.totalMapcount(head) === 1;
  if (k.pages.anonExclusive(head)) return true;
  if (k.pages.test(head, PG_LOCKED | PG_SWAPCACHE) || k.pages.refcount(head) !== 1) return false;
  k.pages.setAnonExclusive(head, true);
  return true;
}

/** do_huge_zero_wp_pmd() (since v6.13): a write to the huge zero page gives a whole THP. */
function* hugeZeroWpPmd(k: Kernel, vmf: VmFault): Path<number> {
  const pfn = yield* allocThp(k);
  const { mm, pmdp } = vmf;
  const base = hugeBase(k, vmf.vpn);
  const range = {
    mm,
    start: base * PAGE_SIZE,
    end: (base + k.tables.hugePages) * PAGE_SIZE,
    event: "MMU_NOTIFY_CLEAR",
  } as const;
  yield* k.bus.invalidateRangeStart(range);
  yield lockPtl(k, pmdp);
  const decision = yield step("pmd_same", () => {
    if (k.tables.get(pmdp) !== vmf.origPte) return CHANGED;
    return (k.mms.flags(mm) & MMF_UNSTABLE) !== 0 ? SPLIT : REUSE;
  });
  if (decision === REUSE) {
    yield* pmdpHugeClearFlushNotify(k, vmf.cpu, mm, base, pmdp);
    yield step("folio_add_new_anon_rmap", () => {
      addNewAnonRmapPmd(k, pfn, vmf.vma, base);
      return 0;
    });
    const fresh = pteMkhuge(mkPte(pfn, vmPageProt(k, vmf.vmFlags, vmf.kind)));
    yield setPteAt(k, mm, base, pmdp, k.pte.maybeMkwrite(k.pte.mkdirty(fresh), vmf.vmFlags));
    yield* updateMmuCache(k, vmf.cpu, mm, vmf.vpn);
  }
  yield unlockPtl(k, pmdp);
  yield* k.bus.invalidateRangeEnd(range, k.profile.hookFromRangeEnd);
  if (decision !== REUSE) {
    yield step("folio_put", () => {
      k.pages.put(pfn);
      return 0;
    });
  }
  return decision === SPLIT ? VM_FAULT_SIGBUS : 0;
}
