import { call, mightSleep, type Path, step } from "@mmu-notifier/steps";
import { PAGE_SIZE } from "../geometry.js";
import { freeSwapCache } from "../folio.js";
import type { Kernel } from "../kernel.js";
import { mkPte, type Pte, ptePfn, pteMkuffdWp, pteMkyoung, pteUffdWp } from "../pte.js";
import { folioAddNewAnonRmap, folioRemoveRmap } from "../rmap/rmap.js";
import { ptepClearFlushNotify, setPteAt } from "../tlb/ptep.js";
import { updateMmuCache } from "../tlb/set-access-flags.js";
import { vmfAnonPrepare } from "./anon-vma-prepare.js";
import { wpPageCopyUser } from "./copy-user-page.js";
import { lockPtl, pteUnchanged, unlockPtl } from "./pte-map.js";
import { faultWrite, VM_FAULT_OOM, type VmFault } from "./vm-fault.js";
import { vmPageProt } from "./vm-page-prot.js";

/**
 * wp_page_copy(): a page of its own replaces what a private mapping shares with others (another process, a file, the zero
 * page). The range is announced before the entry is checked again, so a lost race announces it for nothing.
 *
 * @param oldPage the page that is mapped, with a reference that this function gives up, or 0 for a special entry
 */
export function wpPageCopy(k: Kernel, vmf: VmFault, oldPage: number): Path<number> {
  return call("wp_page_copy", pageCopy(k, vmf, oldPage));
}

function* pageCopy(k: Kernel, vmf: VmFault, oldPage: number): Path<number> {
  const retry = yield* vmfAnonPrepare(k, vmf);
  if (retry !== 0) {
    if (oldPage !== 0) yield putOld(k, oldPage, false);
    return retry;
  }
  const newPage = yield* preallocate(k, vmf, oldPage);
  if (newPage === 0) {
    if (oldPage !== 0) yield putOld(k, oldPage, false);
    return VM_FAULT_OOM;
  }
  if (newPage < 0) return 0;

  const { mm, vpn, ptep } = vmf;
  const range = { mm, start: vpn * PAGE_SIZE, end: (vpn + 1) * PAGE_SIZE, event: "MMU_NOTIFY_CLEAR" } as const;
  yield* k.bus.invalidateRangeStart(range);
  yield lockPtl(k, ptep);
  const same = yield step("pte_same", () => (pteUnchanged(k, vmf) ? 1 : 0));
  if (same !== 0) {
    // Cleared and flushed before the new page shows, so that no agent can see the new page and then the old one.
    yield* ptepClearFlushNotify(k, vmf.cpu, mm, vpn, ptep);
    const entry = newEntry(k, vmf, newPage);
    yield step("folio_add_new_anon_rmap", () => {
      folioAddNewAnonRmap(k, newPage, vmf.vma, vpn);
      return 0;
    });
    if (k.profile.hasChangePte) yield* k.bus.changePte(mm, vpn * PAGE_SIZE, entry);
    yield setPteAt(k, mm, vpn, ptep, entry);
    yield* updateMmuCache(k, vmf.cpu, mm, vpn);
    if (oldPage !== 0) {
      yield step("folio_remove_rmap_pte", () => {
        folioRemoveRmap(k, oldPage);
        return 0;
      });
    }
  }
  yield unlockPtl(k, ptep);
  yield* k.bus.invalidateRangeEnd(range, k.profile.hookFromRangeEnd);
  yield step("folio_put", () => {
    if (same === 0) k.pages.put(newPage);
    return oldPage === 0 ? 0 : dropOld(k, oldPage, same !== 0);
  });
  return same !== 0 && !vmf.unshare ? faultWrite(k) : 0;
}

/** Allocates and fills the new page. -1 when the page under the fault changed and the access is to be tried again. */
function* preallocate(k: Kernel, vmf: VmFault, oldPage: number): Path<number> {
  yield mightSleep("folio_prealloc");
  const zero = k.pages.zeroPfn;
  const fromZero = ptePfn(vmf.origPte) === zero;
  const pfn = yield step("folio_prealloc", () => {
    const copy = k.pages.alloc();
    if (oldPage !== 0) k.pages.setContent(copy, k.pages.content(oldPage));
    return copy;
  });
  if (oldPage !== 0 || fromZero) return pfn;
  const result = yield* wpPageCopyUser(k, vmf, pfn);
  if (result === 0) return pfn;
  yield step("folio_put", () => {
    k.pages.put(pfn);
    return 0;
  });
  return -1;
}

function newEntry(k: Kernel, vmf: VmFault, page: number): Pte {
  const fresh = pteMkyoung(mkPte(page, vmPageProt(k, vmf.vmFlags, vmf.kind)));
  if (!vmf.unshare) return k.pte.maybeMkwrite(k.pte.mkdirty(fresh), vmf.vmFlags);
  return pteUffdWp(vmf.origPte) ? pteMkuffdWp(k.pte.wrprotect(fresh)) : fresh;
}

function putOld(k: Kernel, page: number, replaced: boolean) {
  return step("folio_put", () => dropOld(k, page, replaced));
}

/** Gives up the fault's reference and, when its mapping went, the mapping's. */
function dropOld(k: Kernel, page: number, replaced: boolean): number {
  if (replaced) {
    freeSwapCache(k, page);
    k.pages.put(page);
  }
  k.pages.put(page);
  return 0;
}
