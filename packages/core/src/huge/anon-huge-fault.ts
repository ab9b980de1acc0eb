import { call, mightSleep, type Path, step } from "@mmu-notifier/steps";
import type { Kernel } from "../kernel.js";
import { since } from "../kernel-profile.js";
import { MMF_UNSTABLE } from "../mm.js";
import { PG_ANON, PG_LRU, PG_SWAPBACKED, PG_UPTODATE } from "../page.js";
import { mkPte, type Pte, pteMkhuge, pteMkspecial, pteNone } from "../pte.js";
import { folioAddRmapEntire } from "../rmap/rmap.js";
import { setPteAt } from "../tlb/ptep.js";
import { updateMmuCache } from "../tlb/set-access-flags.js";
import { vmfAnonPrepare } from "../fault/anon-vma-prepare.js";
import { lockPtl, unlockPtl } from "../fault/pte-map.js";
import { handleUserfault, userfaultfdMissing } from "../fault/userfault.js";
import { VM_FAULT_FALLBACK, VM_FAULT_SIGBUS, type VmFault } from "../fault/vm-fault.js";
import { vmPageProt } from "../fault/vm-page-prot.js";
import { getHugeZeroPfn, hugeBase, hugeOrder } from "./huge-zero.js";
import { thpVmaSuitable } from "./thp-eligible.js";

const CHANGED = 0;
const INSTALL = 1;
const UNSTABLE = 2;

/**
 * do_huge_pmd_anonymous_page(): nothing is mapped in the whole block. A read gets the huge zero page, a write a THP.
 *
 * @returns VM_FAULT_FALLBACK when base pages have to do
 */
export function doHugePmdAnonymousPage(k: Kernel, vmf: VmFault): Path<number> {
  return call("do_huge_pmd_anonymous_page", anonymousHuge(k, vmf));
}

function* anonymousHuge(k: Kernel, vmf: VmFault): Path<number> {
  const suitable = yield step("thp_vma_suitable_order", () => (thpVmaSuitable(k, vmf.vma, vmf.vpn) ? 1 : 0));
  if (suitable === 0) return VM_FAULT_FALLBACK;
  const retry = yield* vmfAnonPrepare(k, vmf);
  if (retry !== 0) return retry;
  const zero = !vmf.write && k.config.useZeroPage;
  const pfn = zero ? yield step("mm_get_huge_zero_folio", () => getHugeZeroPfn(k)) : yield* allocThp(k);
  const plain = pteMkhuge(mkPte(pfn, vmPageProt(k, vmf.vmFlags, vmf.kind)));
  // Since v6.18 an entry of the huge zero folio is special, as one of the zero page always was.
  const fresh = zero && since(k.profile, 6, 18) ? pteMkspecial(plain) : plain;
  const entry = zero ? fresh : k.pte.maybeMkwrite(k.pte.mkdirty(fresh), vmf.vmFlags);
  return yield* install(k, vmf, zero ? 0 : pfn, entry);
}

/** vma_alloc_anon_folio_pmd(): a zeroed THP; its first frame. */
export function* allocThp(k: Kernel): Path<number> {
  yield mightSleep("vma_alloc_anon_folio_pmd");
  return yield step("vma_alloc_anon_folio_pmd", () => k.pages.alloc(hugeOrder(k), PG_UPTODATE));
}

function* install(k: Kernel, vmf: VmFault, pfn: number, entry: Pte): Path<number> {
  const uffd = userfaultfdMissing(vmf);
  yield lockPtl(k, vmf.pmdp);
  const decision = yield step("pmd_none", () => {
    const found = !pteNone(k.tables.get(vmf.pmdp))
      ? CHANGED
      : (k.mms.flags(vmf.mm) & MMF_UNSTABLE) !== 0
        ? UNSTABLE
        : INSTALL;
    if (pfn !== 0) {
      if (found === INSTALL && !uffd) addNewAnonRmapPmd(k, pfn, vmf.vma, hugeBase(k, vmf.vpn));
      else k.pages.put(pfn);
    }
    return found;
  });
  if (decision === INSTALL && uffd) {
    yield unlockPtl(k, vmf.pmdp);
    return yield* handleUserfault(k, vmf, "missing");
  }
  if (decision === INSTALL) {
    yield setPteAt(k, vmf.mm, hugeBase(k, vmf.vpn), vmf.pmdp, entry);
    yield* updateMmuCache(k, vmf.cpu, vmf.mm, vmf.vpn);
  }
  yield unlockPtl(k, vmf.pmdp);
  return decision === UNSTABLE ? VM_FAULT_SIGBUS : 0;
}

/** folio_add_new_anon_rmap() of a THP: one mapping of the whole, AnonExclusive on the head. Inside a step. */
export function addNewAnonRmapPmd(k: Kernel, head: number, vma: number, base: number): void {
  k.pages.mark(head, PG_ANON | PG_SWAPBACKED | PG_LRU);
  k.pages.setMapping(head, k.vmas.anonVma(vma));
  k.pages.setIndex(head, k.vmas.linearIndex(vma, base));
  k.pages.setAnonExclusive(head, true);
  folioAddRmapEntire(k, head);
}
