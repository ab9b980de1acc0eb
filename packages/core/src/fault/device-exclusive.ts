import { call, type Path, step } from "@mmu-notifier/steps";
import { PAGE_SIZE } from "../geometry.js";
import type { Kernel } from "../kernel.js";
import { since } from "../kernel-profile.js";
import { PG_DIRTY, PG_LOCKED } from "../page.js";
import {
  mkPte,
  type Pte,
  PTE_SOFT_DIRTY,
  PTE_UFFD_WP,
  pteMkold,
  pteMksoftDirty,
  pteMkuffdWp,
  SWP_DEVICE_EXCLUSIVE_WRITE,
  swpOffset,
  swpType,
} from "../pte.js";
import { setPteAt } from "../tlb/ptep.js";
import { updateMmuCache } from "../tlb/set-access-flags.js";
import { folioLock } from "./folio-lock.js";
import { canChangePteWritable } from "./numa-fault.js";
import { lockPtl, pteUnchanged, unlockPtl } from "./pte-map.js";
import type { VmFault } from "./vm-fault.js";
import { vmPageProt } from "./vm-page-prot.js";

/**
 * remove_device_exclusive_entry(): the CPU touches a page that a device has for itself. The device is told before it gets the
 * page back; the entry becomes present, writable if it was, and the access is tried again.
 */
export function deviceExclusiveFault(k: Kernel, vmf: VmFault): Path<number> {
  return call("remove_device_exclusive_entry", remove(k, vmf));
}

function* remove(k: Kernel, vmf: VmFault): Path<number> {
  const page = swpOffset(vmf.origPte);
  const got = yield step("folio_try_get", () => {
    if (!pteUnchanged(k, vmf)) return 0;
    k.pages.get(page);
    return 1;
  });
  if (got === 0) return 0;
  yield folioLock(k, page);
  const event = since(k.profile, 6, 15) ? "MMU_NOTIFY_CLEAR" : "MMU_NOTIFY_EXCLUSIVE";
  const range = { mm: vmf.mm, start: vmf.vpn * PAGE_SIZE, end: (vmf.vpn + 1) * PAGE_SIZE, event, owner: 0 } as const;
  yield* k.bus.invalidateRangeStart(range);
  yield lockPtl(k, vmf.ptep);
  // The exclusive entry counts as a mapping and holds a reference: both pass to the present one.
  const same = yield step("pte_same", () => (pteUnchanged(k, vmf) ? 1 : 0));
  if (same !== 0) {
    const entry = yield step("restore_exclusive_pte", () => restoreExclusivePte(k, vmf.vmFlags, vmf.kind, vmf.origPte));
    yield setPteAt(k, vmf.mm, vmf.vpn, vmf.ptep, entry);
    yield* updateMmuCache(k, vmf.cpu, vmf.mm, vmf.vpn);
  }
  yield unlockPtl(k, vmf.ptep);
  yield step("folio_unlock, folio_put", () => {
    k.pages.unmark(page, PG_LOCKED);
    k.pages.put(page);
    return 0;
  });
  yield* k.bus.invalidateRangeEnd(range);
  return 0;
}

/**
 * restore_exclusive_pte(): the present entry for a device's `entry` of a page. Writable if the device's was (up to v6.14), or if the
 * page is still exclusive to a writable VMA; then dirty as the page is. Inside a step.
 */
export function restoreExclusivePte(k: Kernel, vmFlags: number, kind: number, entry: Pte): Pte {
  const page = swpOffset(entry);
  let pte = pteMkold(mkPte(page, vmPageProt(k, vmFlags, kind)));
  if ((entry & PTE_SOFT_DIRTY) !== 0) pte = pteMksoftDirty(pte);
  if ((entry & PTE_UFFD_WP) !== 0) return pteMkuffdWp(k.pte.wrprotect(pte));
  if (!since(k.profile, 6, 15)) {
    const writable = swpType(entry) === SWP_DEVICE_EXCLUSIVE_WRITE;
    return writable ? k.pte.maybeMkwrite(k.pte.mkdirty(pte), vmFlags) : pte;
  }
  if (!canChangePteWritable(k, vmFlags, pte)) return pte;
  return k.pte.maybeMkwrite(k.pages.test(page, PG_DIRTY) ? k.pte.mkdirty(pte) : pte, vmFlags);
}
