import { call, type Path, step } from "@mmu-notifier/steps";
import { folioFreeSwap } from "../folio.js";
import { INODE_DAX, INODE_DISK } from "../file.js";
import type { Kernel } from "../kernel.js";
import { since } from "../kernel-profile.js";
import { PG_ANON, PG_KSM, PG_LOCKED, PG_SWAPCACHE } from "../page.js";
import { pteClearUffdWp, pteMkyoung, pteUffdWp } from "../pte.js";
import { flushTlbPage } from "../tlb/flush.js";
import { setPteAt } from "../tlb/ptep.js";
import { ptepSetAccessFlags, updateMmuCache } from "../tlb/set-access-flags.js";
import { VM_MAYSHARE, VM_SHARED, VM_WRITE } from "../vma.js";
import { anonFolioMappedOnlyBy } from "./exclusive-folio.js";
import { vmfCanCallFault } from "./fault-lock.js";
import { faultDirtySharedPage, pageMkwrite, pfnMkwrite } from "./file-write-notify.js";
import { folioLock } from "./folio-lock.js";
import { vmNormalPage } from "./normal-page.js";
import { wpPageCopy } from "./page-copy.js";
import { lockPtl, pteUnchanged, unlockPtl } from "./pte-map.js";
import { notifyProtectionUpgrade, upgradeEventDue, type UpgradeSite } from "./upgrade-event.js";
import { handleUserfault, userfaultfdWp, userfaultfdWpAsync } from "./userfault.js";
import { faultWrite, VM_FAULT_ERROR, VM_FAULT_NOPAGE, type VmFault } from "./vm-fault.js";

/** Decisions on a write to a present, write-protected entry of a private mapping. */
const COPY = 0;
const REUSE = 1;

const WP_SYNC = 1;
const WP_ASYNC = 2;

/**
 * do_wp_page(): a write (or a request to unshare) meets a present entry without write permission. Entered with the PTL of
 * `vmf.ptep` held and `vmf.origPte` equal to the entry; leaves with it dropped.
 *
 * @param site who gains the right when the page is reused
 */
export function doWpPage(k: Kernel, vmf: VmFault, site: UpgradeSite = "wpPageReuse"): Path<number> {
  return call("do_wp_page", wpPage(k, vmf, site));
}

function* wpPage(k: Kernel, vmf: VmFault, site: UpgradeSite): Path<number> {
  if (!vmf.unshare && userfaultfdWp(vmf)) {
    const outcome = yield* uffdWp(k, vmf);
    if (outcome !== undefined) return outcome;
  }
  if (sharedPath(k, vmf)) {
    return vmNormalPage(vmf.origPte) === 0 || vmf.kind === INODE_DAX
      ? yield* wpPfnShared(k, vmf)
      : yield* wpPageShared(k, vmf);
  }
  const page = vmNormalPage(vmf.origPte);
  const decision = yield step("wp_can_reuse_anon_folio", () => {
    if (canReuse(k, vmf, page)) return REUSE;
    if (page !== 0) k.pages.get(page);
    return COPY;
  });
  if (decision === REUSE) {
    if (vmf.unshare) {
      yield unlockPtl(k, vmf.ptep);
      return 0;
    }
    yield* wpPageReuse(k, vmf, site);
    return faultWrite(k);
  }
  yield unlockPtl(k, vmf.ptep);
  return yield* wpPageCopy(k, vmf, page);
}

/** Shared mappings never copy. Up to v5.18 only those that are writable were told apart here. */
function sharedPath(k: Kernel, vmf: VmFault): boolean {
  return since(k.profile, 5, 19) ? vmf.has(VM_SHARED | VM_MAYSHARE) : vmf.has(VM_SHARED) && vmf.has(VM_WRITE);
}

/** Write protection by userfaultfd: undefined when the fault may go on. */
function* uffdWp(k: Kernel, vmf: VmFault): Path<number | undefined> {
  if (pteUffdWp(vmf.origPte)) {
    const mode = yield step("userfaultfd_wp_async", () => (userfaultfdWpAsync(k, vmf.vma) ? WP_ASYNC : WP_SYNC));
    if (mode === WP_SYNC) {
      yield unlockPtl(k, vmf.ptep);
      return yield* handleUserfault(k, vmf, "wp");
    }
    vmf.origPte = pteClearUffdWp(vmf.origPte);
    yield setPteAt(k, vmf.mm, vmf.vpn, vmf.ptep, vmf.origPte);
  }
  // A gather that protected this page may not have flushed yet: a stale writable entry must not survive the copy.
  const pending = yield step("mm_tlb_flush_pending", () => (k.mms.tlbFlushPending(vmf.mm) > 0 ? 1 : 0));
  if (pending !== 0) yield* flushTlbPage(k, vmf.cpu, vmf.mm, vmf.vpn);
  return undefined;
}

/** Whether the only user of an anonymous page asks; then it may write in place. Sets AnonExclusive. Inside a step. */
function canReuse(k: Kernel, vmf: VmFault, page: number): boolean {
  if (page === 0 || !k.pages.test(page, PG_ANON)) return false;
  if (!since(k.profile, 5, 19))
    return !k.pages.test(page, PG_KSM | PG_LOCKED) && k.pages.mapcount(page) === 1 && k.pages.refcount(page) === 1;
  if (!k.pages.anonExclusive(page) && !wpCanReuseAnonFolio(k, vmf.mm, page)) return false;
  k.pages.setAnonExclusive(page, true);
  return true;
}

/**
 * wp_can_reuse_anon_folio(): the references of the folio, not its map count, say whether somebody else may see it. A large
 * folio is never reused (v6.8 to v6.14), or when all its mappings belong to this mm (since v6.15).
 */
function wpCanReuseAnonFolio(k: Kernel, mm: number, page: number): boolean {
  if (k.pages.test(page, PG_KSM)) return false;
  if (k.pages.order(page) > 0) {
    if (since(k.profile, 6, 15)) return !k.pages.test(page, PG_SWAPCACHE) && anonFolioMappedOnlyBy(k, mm, page);
    if (since(k.profile, 6, 8)) return false;
  }
  const cached = k.pages.test(page, PG_SWAPCACHE) ? 1 : 0;
  if (k.pages.refcount(page) > 1 + cached || k.pages.test(page, PG_LOCKED)) return false;
  if (cached !== 0) folioFreeSwap(k, page);
  return k.pages.refcount(page) === 1;
}

/**
 * wp_page_reuse(): the entry becomes writable in place. No range is ever announced here; what a secondary MMU learns depends
 * on the flush inside ptep_set_access_flags(). Entered with the PTL held, leaves with it dropped.
 */
function* wpPageReuse(k: Kernel, vmf: VmFault, site: UpgradeSite): Path {
  const entry = k.pte.maybeMkwrite(k.pte.mkdirty(pteMkyoung(vmf.origPte)), vmf.vmFlags);
  const result = yield* call(
    "wp_page_reuse",
    ptepSetAccessFlags(k, vmf.cpu, vmf.mm, vmf.vpn, vmf.ptep, entry, true, "wp_page_reuse"),
  );
  if (result !== 0) yield* updateMmuCache(k, vmf.cpu, vmf.mm, vmf.vpn);
  yield unlockPtl(k, vmf.ptep);
  if (upgradeEventDue(k, site, "after-ptl", result)) yield* notifyProtectionUpgrade(k, vmf.mm, vmf.vpn, vmf.vpn + 1);
}

/** wp_pfn_shared(): no struct page; the device or DAX file system is asked through pfn_mkwrite. */
function* wpPfnShared(k: Kernel, vmf: VmFault): Path<number> {
  if (vmf.kind !== INODE_DAX) {
    yield* wpPageReuse(k, vmf, "wpPageReuse");
    return faultWrite(k);
  }
  yield unlockPtl(k, vmf.ptep);
  const retry = yield* vmfCanCallFault(k, vmf);
  if (retry !== 0) return retry;
  const result = yield* pfnMkwrite(k, vmf);
  if ((result & (VM_FAULT_ERROR | VM_FAULT_NOPAGE)) !== 0) return result;
  return yield* finishMkwriteFault(k, vmf);
}

/** wp_page_shared(): a file page; a file system with page_mkwrite may veto or wait. */
function* wpPageShared(k: Kernel, vmf: VmFault): Path<number> {
  const page = vmNormalPage(vmf.origPte);
  yield step("folio_get", () => {
    k.pages.get(page);
    return 0;
  });
  if (vmf.kind === INODE_DISK) {
    yield unlockPtl(k, vmf.ptep);
    const result = yield* pageMkwrite(k, vmf, page);
    const finished =
      (result & (VM_FAULT_ERROR | VM_FAULT_NOPAGE)) === 0 ? yield* finishMkwriteFault(k, vmf, page) : result;
    if ((finished & (VM_FAULT_ERROR | VM_FAULT_NOPAGE)) !== 0) return finished;
  } else {
    yield* wpPageReuse(k, vmf, "wpPageReuse");
    yield folioLock(k, page);
  }
  return faultWrite(k) | (yield* faultDirtySharedPage(k, vmf, page));
}

/** finish_mkwrite_fault(): the handler agreed; makes the entry writable if it is still the same. On failure drops `page`, locked. */
function* finishMkwriteFault(k: Kernel, vmf: VmFault, page = 0): Path<number> {
  yield lockPtl(k, vmf.ptep);
  const same = yield step("pte_same", () => (pteUnchanged(k, vmf) ? 1 : 0));
  if (same === 0) {
    yield unlockPtl(k, vmf.ptep);
    if (page !== 0) {
      yield step("folio_unlock, folio_put", () => {
        k.pages.unmark(page, PG_LOCKED);
        k.pages.put(page);
        return 0;
      });
    }
    return VM_FAULT_NOPAGE;
  }
  yield* wpPageReuse(k, vmf, "wpPageReuse");
  return 0;
}
