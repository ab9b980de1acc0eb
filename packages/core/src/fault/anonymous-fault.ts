import { call, inline, type Path, step } from "@mmu-notifier/steps";
import type { Kernel } from "../kernel.js";
import { MMF_UNSTABLE } from "../mm.js";
import { mkPte, type Pte, pteMkspecial, pteMkuffdWp, pteMkyoung, pteUffdWp } from "../pte.js";
import { folioAddNewAnonRmap } from "../rmap/rmap.js";
import { setPtes } from "../tlb/contpte.js";
import { setPteAt } from "../tlb/ptep.js";
import { updateMmuCache } from "../tlb/set-access-flags.js";
import { VM_SHARED, VM_WRITE } from "../vma.js";
import { allocAnonFolio, pteRangeNone } from "./alloc-anon-folio.js";
import { vmfAnonPrepare } from "./anon-vma-prepare.js";
import { lockPtl, pteAlloc, pteUnchanged, unlockPtl } from "./pte-map.js";
import { handleUserfault, userfaultfdMissing } from "./userfault.js";
import { markerUffdWp } from "./pte-marker.js";
import { VM_FAULT_OOM, VM_FAULT_SIGBUS, type VmFault } from "./vm-fault.js";
import { vmPageProt } from "./vm-page-prot.js";

const CHANGED = 0;
const INSTALL = 1;
const UNSTABLE = 2;

/** do_anonymous_page(): nothing is mapped in a VMA without a file. A read gets the zero page, a write a page of its own. */
export function doAnonymousPage(k: Kernel, vmf: VmFault): Path<number> {
  return call("do_anonymous_page", anonymousPage(k, vmf));
}

function* anonymousPage(k: Kernel, vmf: VmFault): Path<number> {
  if (vmf.has(VM_SHARED)) return VM_FAULT_SIGBUS;
  if (!(yield* pteAlloc(k, vmf))) return 0;
  return yield* inline(vmf.write ? writePage(k, vmf) : readZeroPage(k, vmf));
}

function* readZeroPage(k: Kernel, vmf: VmFault): Path<number> {
  const entry = withMarker(k, vmf, pteMkspecial(mkPte(k.pages.zeroPfn, vmPageProt(k, vmf.vmFlags, vmf.kind))));
  yield lockPtl(k, vmf.ptep);
  const decision = yield step("vmf_pte_changed", () => decide(k, vmf, vmf.vpn, 1));
  if (decision === INSTALL && userfaultfdMissing(vmf)) {
    yield unlockPtl(k, vmf.ptep);
    return yield* handleUserfault(k, vmf, "missing");
  }
  if (decision === INSTALL) yield* install(k, vmf, entry);
  yield unlockPtl(k, vmf.ptep);
  return decision === UNSTABLE ? VM_FAULT_SIGBUS : 0;
}

function* writePage(k: Kernel, vmf: VmFault): Path<number> {
  const retry = yield* vmfAnonPrepare(k, vmf);
  if (retry !== 0) return retry;
  const pfn = yield* allocAnonFolio(k, vmf);
  if (pfn === 0) return VM_FAULT_OOM;
  const pages = yield step("folio_nr_pages", () => k.pages.pages(pfn));
  const first = vmf.vpn - (vmf.vpn % pages);
  const ptep = vmf.ptep - (vmf.vpn - first);
  const fresh = pteMkyoung(mkPte(pfn, vmPageProt(k, vmf.vmFlags, vmf.kind)));
  const entry = withMarker(k, vmf, vmf.has(VM_WRITE) ? k.pte.mkwrite(k.pte.mkdirty(fresh)) : fresh);
  yield lockPtl(k, ptep);
  const uffd = userfaultfdMissing(vmf);
  const decision = yield step("vmf_pte_changed", () => {
    const found = decide(k, vmf, first, pages);
    if (found === INSTALL && !uffd) {
      k.pages.get(pfn, pages - 1);
      folioAddNewAnonRmap(k, pfn, vmf.vma, first);
    } else k.pages.put(pfn);
    return found;
  });
  if (decision === INSTALL && uffd) {
    yield unlockPtl(k, ptep);
    return yield* handleUserfault(k, vmf, "missing");
  }
  if (decision === INSTALL) {
    if (pages === 1) yield* install(k, vmf, entry);
    else yield* setPtes(k, vmf.cpu, vmf.mm, first, ptep, entry, pages);
  }
  yield unlockPtl(k, ptep);
  return decision === UNSTABLE ? VM_FAULT_SIGBUS : 0;
}

/** Whether the entries of [first, first + pages) may be filled. */
function decide(k: Kernel, vmf: VmFault, first: number, pages: number): number {
  if (!pteUnchanged(k, vmf) || (pages > 1 && !pteRangeNone(k, vmf.mm, first, pages))) return CHANGED;
  return (k.mms.flags(vmf.mm) & MMF_UNSTABLE) !== 0 ? UNSTABLE : INSTALL;
}

function* install(k: Kernel, vmf: VmFault, entry: Pte): Path {
  yield setPteAt(k, vmf.mm, vmf.vpn, vmf.ptep, entry);
  yield* updateMmuCache(k, vmf.cpu, vmf.mm, vmf.vpn);
}

/** A uffd-wp marker in the place of the page stays in force. */
function withMarker(k: Kernel, vmf: VmFault, entry: Pte): Pte {
  return markerUffdWp(vmf.origPte) && !pteUffdWp(entry) ? pteMkuffdWp(k.pte.wrprotect(entry)) : entry;
}
