import { call, mightSleep, type Path, step } from "@mmu-notifier/steps";
import { PAGE_SIZE } from "../geometry.js";
import type { Kernel } from "../kernel.js";
import { mkPte, pteMkyoung, SWP_DEVICE_WRITE, swpOffset, swpType } from "../pte.js";
import { folioAddNewAnonRmap, folioRemoveRmap } from "../rmap/rmap.js";
import { setPteAt } from "../tlb/ptep.js";
import { updateMmuCache } from "../tlb/set-access-flags.js";
import { releaseFaultLock } from "./fault-lock.js";
import { lockPtl, pteUnchanged, unlockPtl } from "./pte-map.js";
import { FAULT_FLAG_VMA_LOCK, VM_FAULT_RETRY, type VmFault } from "./vm-fault.js";
import { vmPageProt } from "./vm-page-prot.js";

/**
 * ->migrate_to_ram(): the page lies in memory that only a device can reach. Its driver moves it back, in a range of its own
 * whose owner is the device, so that the device itself need not react. A device page's `private` is its owner.
 */
export function devicePrivateFault(k: Kernel, vmf: VmFault): Path<number> {
  return call("migrate_to_ram", migrateToRam(k, vmf));
}

function* migrateToRam(k: Kernel, vmf: VmFault): Path<number> {
  if ((vmf.flags & FAULT_FLAG_VMA_LOCK) !== 0) {
    yield* releaseFaultLock(k, vmf);
    return VM_FAULT_RETRY;
  }
  const device = swpOffset(vmf.origPte);
  const owner = yield step("page_pgmap(page)->owner", () => k.pages.private(device));
  const range = {
    mm: vmf.mm,
    start: vmf.vpn * PAGE_SIZE,
    end: (vmf.vpn + 1) * PAGE_SIZE,
    event: "MMU_NOTIFY_MIGRATE",
    owner,
  } as const;
  yield* k.bus.invalidateRangeStart(range);
  yield mightSleep("migrate_vma_setup");
  const page = yield step("migrate_vma_pages", () => {
    const copy = k.pages.alloc();
    k.pages.setContent(copy, k.pages.content(device));
    return copy;
  });
  yield lockPtl(k, vmf.ptep);
  const same = yield step("pte_same", () => {
    if (!pteUnchanged(k, vmf)) {
      k.pages.put(page);
      return 0;
    }
    folioRemoveRmap(k, device);
    k.pages.put(device);
    folioAddNewAnonRmap(k, page, vmf.vma, vmf.vpn);
    return 1;
  });
  if (same !== 0) {
    const fresh = pteMkyoung(mkPte(page, vmPageProt(k, vmf.vmFlags, vmf.kind)));
    const writable = swpType(vmf.origPte) === SWP_DEVICE_WRITE;
    yield setPteAt(
      k,
      vmf.mm,
      vmf.vpn,
      vmf.ptep,
      writable ? k.pte.maybeMkwrite(k.pte.mkdirty(fresh), vmf.vmFlags) : fresh,
    );
    yield* updateMmuCache(k, vmf.cpu, vmf.mm, vmf.vpn);
  }
  yield unlockPtl(k, vmf.ptep);
  yield* k.bus.invalidateRangeEnd(range);
  return 0;
}
