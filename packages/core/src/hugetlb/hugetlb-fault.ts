import { call, mutexLock, mutexUnlock, type Path, step, waitFor } from "@mmu-notifier/steps";
import { folioPut } from "../folio.js";
import { hugeBase } from "../huge/huge-zero.js";
import type { Kernel } from "../kernel.js";
import { PG_LOCKED } from "../page.js";
import { PMD_LEVEL } from "../page-table.js";
import {
  isMigrationEntry,
  isPteMarker,
  pteClearUffdWp,
  pteMkyoung,
  pteNone,
  ptePfn,
  ptePresent,
  pteUffdWp,
  pteWrite,
  SWP_MARKER_GUARD,
  SWP_MARKER_POISONED,
  swpType,
} from "../pte.js";
import { setPteAt } from "../tlb/ptep.js";
import { ptepSetAccessFlags, SAF_CHANGED, updateMmuCache } from "../tlb/set-access-flags.js";
import { lockPtl, unlockPtl } from "../fault/pte-map.js";
import { notifyProtectionUpgrade, upgradeEventDue } from "../fault/upgrade-event.js";
import { handleUserfault, userfaultfdWp, userfaultfdWpAsync } from "../fault/userfault.js";
import { VM_FAULT_HWPOISON_LARGE, VM_FAULT_SIGSEGV, type VmFault } from "../fault/vm-fault.js";
import { hugetlbNoPage } from "./hugetlb-no-page.js";
import { hugetlbWp, type HugetlbWpResult } from "./hugetlb-wp.js";

const CHANGED = 0;
const GO_ON = 1;
const WAIT_FOR_LOCK = 2;

/** hugetlb_fault(): the fault handler of hugetlb VMAs. One mutex serializes faults on a page. */
export function hugetlbFault(k: Kernel, vmf: VmFault): Path<number> {
  return call("hugetlb_fault", fault(k, vmf));
}

function* fault(k: Kernel, vmf: VmFault): Path<number> {
  yield mutexLock(k.hugetlb.faultMutex);
  vmf.pmdp = yield step("huge_pte_alloc", () => k.tables.findOrCreate(k.mms.pgd(vmf.mm), PMD_LEVEL, vmf.vpn));
  vmf.origPte = yield step("huge_ptep_get", () => k.tables.get(vmf.pmdp));
  const pte = vmf.origPte;
  if (pteNone(pte) || isPteMarker(pte)) return yield* missing(k, vmf);
  if (!ptePresent(pte)) {
    yield mutexUnlock(k.hugetlb.faultMutex);
    if (!isMigrationEntry(pte)) return VM_FAULT_HWPOISON_LARGE;
    const { pmdp } = vmf;
    yield waitFor("migration_entry_wait_huge", () => k.tables.get(pmdp) !== pte);
    return 0;
  }
  return yield* present(k, vmf);
}

function* missing(k: Kernel, vmf: VmFault): Path<number> {
  const type = isPteMarker(vmf.origPte) ? swpType(vmf.origPte) : 0;
  if (type === SWP_MARKER_POISONED || type === SWP_MARKER_GUARD) {
    yield mutexUnlock(k.hugetlb.faultMutex);
    return type === SWP_MARKER_GUARD ? VM_FAULT_SIGSEGV : VM_FAULT_HWPOISON_LARGE;
  }
  return yield* hugetlbNoPage(k, vmf);
}

function* present(k: Kernel, vmf: VmFault): Path<number> {
  const { mm, pmdp } = vmf;
  const page = ptePfn(vmf.origPte);
  yield lockPtl(k, pmdp);
  const decision = yield step("pte_same", () => {
    if (k.tables.get(pmdp) !== vmf.origPte) return CHANGED;
    if (k.pages.test(page, PG_LOCKED)) return WAIT_FOR_LOCK;
    k.pages.mark(page, PG_LOCKED);
    k.pages.get(page);
    return GO_ON;
  });
  if (decision !== GO_ON) {
    yield unlockPtl(k, pmdp);
    yield mutexUnlock(k.hugetlb.faultMutex);
    if (decision === WAIT_FOR_LOCK) yield waitFor("folio_wait_locked", () => !k.pages.test(page, PG_LOCKED));
    return 0;
  }
  if (vmf.write && userfaultfdWp(vmf) && pteUffdWp(vmf.origPte) && !pteWrite(vmf.origPte)) {
    const async = yield step("userfaultfd_wp_async", () => (userfaultfdWpAsync(k, vmf.vma) ? 1 : 0));
    if (async === 0) {
      yield unlockPtl(k, pmdp);
      yield unlockPut(k, page);
      yield mutexUnlock(k.hugetlb.faultMutex);
      return yield* handleUserfault(k, vmf, "wp");
    }
    vmf.origPte = pteClearUffdWp(vmf.origPte);
    yield setPteAt(k, mm, vmf.vpn, pmdp, vmf.origPte);
  }
  const outcome = yield* upgrade(k, vmf);
  yield unlockPut(k, page);
  yield unlockPtl(k, pmdp);
  if (upgradeEventDue(k, "hugetlbFault", "after-ptl", outcome.upgrade)) {
    const base = hugeBase(k, vmf.vpn);
    // The patch asks for the cache update a second time, here without the lock.
    if (!k.profile.upgradeEventOnlyWhenGained) yield* updateMmuCache(k, vmf.cpu, mm, vmf.vpn);
    yield* notifyProtectionUpgrade(k, mm, base, base + k.tables.hugePages);
  }
  yield mutexUnlock(k.hugetlb.faultMutex);
  return outcome.result;
}

/** Under PTL and folio lock: the write-protect fault, or access and dirty flags. */
function* upgrade(k: Kernel, vmf: VmFault): Path<HugetlbWpResult> {
  if (vmf.breaksSharing && !pteWrite(vmf.origPte)) {
    const wp = yield* hugetlbWp(k, vmf);
    // The patch counts every success of hugetlb_wp() as an upgrade: lost races, unsharing and full copies too.
    return wp.result === 0 ? { result: 0, upgrade: wp.upgrade | SAF_CHANGED } : wp;
  }
  const entry = pteMkyoung(vmf.write ? k.pte.mkdirty(vmf.origPte) : vmf.origPte);
  const flags = yield* ptepSetAccessFlags(k, vmf.cpu, vmf.mm, vmf.vpn, vmf.pmdp, entry, vmf.write, "hugetlb_fault", {
    hugetlb: true,
  });
  if (flags !== 0) yield* updateMmuCache(k, vmf.cpu, vmf.mm, vmf.vpn);
  return { result: 0, upgrade: flags };
}

function unlockPut(k: Kernel, page: number) {
  return step("folio_unlock, folio_put", () => {
    k.pages.unmark(page, PG_LOCKED);
    folioPut(k, page);
    return 0;
  });
}
