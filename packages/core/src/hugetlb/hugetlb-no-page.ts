import { call, mutexUnlock, type Path, step } from "@mmu-notifier/steps";
import { folioPut } from "../folio.js";
import { hugeBase } from "../huge/huge-zero.js";
import type { Kernel } from "../kernel.js";
import { PG_LOCKED, PG_UPTODATE } from "../page.js";
import { pteMkuffdWp } from "../pte.js";
import { folioAddRmapEntire } from "../rmap/rmap.js";
import { setPteAt } from "../tlb/ptep.js";
import { VM_MAYSHARE, VM_SHARED, VM_UFFD_MINOR } from "../vma.js";
import { addNewAnonRmapPmd } from "../huge/anon-huge-fault.js";
import { anonVmaPrepare } from "../fault/anon-vma-prepare.js";
import { folioLock } from "../fault/folio-lock.js";
import { lockPtl, unlockPtl } from "../fault/pte-map.js";
import { markerUffdWp } from "../fault/pte-marker.js";
import { handleUserfault, userfaultfdMissing } from "../fault/userfault.js";
import { VM_FAULT_SIGBUS, type VmFault } from "../fault/vm-fault.js";
import { allocHugetlbFolio } from "./hugetlb-alloc.js";
import { hugetlbWp, makeHugePte } from "./hugetlb-wp.js";

const BEYOND_END = -1;
const ABSENT = 0;

/** hugetlb_no_page(): nothing is mapped; takes the page from the file's cache or the pool. Entered with the fault mutex, leaves without. */
export function hugetlbNoPage(k: Kernel, vmf: VmFault): Path<number> {
  return call("hugetlb_no_page", noPage(k, vmf));
}

function* noPage(k: Kernel, vmf: VmFault): Path<number> {
  const cached = yield step("filemap_lock_hugetlb_folio", () => lookup(k, vmf));
  if (cached === BEYOND_END) return yield* out(k, VM_FAULT_SIGBUS);
  if (cached === ABSENT && userfaultfdMissing(vmf)) {
    yield mutexUnlock(k.hugetlb.faultMutex);
    return yield* handleUserfault(k, vmf, "missing");
  }
  if (cached !== ABSENT && vmf.has(VM_UFFD_MINOR)) {
    yield step("folio_put", () => {
      folioPut(k, cached);
      return 0;
    });
    yield mutexUnlock(k.hugetlb.faultMutex);
    return yield* handleUserfault(k, vmf, "minor");
  }
  const page = cached === ABSENT ? yield* allocHugetlbFolio(k, vmf.vma, vmf.vpn, false) : cached;
  if (page === 0) return yield* out(k, VM_FAULT_SIGBUS);
  yield folioLock(k, page);
  const anon = cached === ABSENT && !vmf.has(VM_MAYSHARE);
  yield step(anon ? "anon_vma_prepare" : "hugetlb_add_to_page_cache", () => {
    if (anon) anonVmaPrepare(k, vmf.vma);
    else if (cached === ABSENT) addToCache(k, vmf, page);
    return 0;
  });
  yield lockPtl(k, vmf.pmdp);
  const base = hugeBase(k, vmf.vpn);
  const same = yield step("pte_same", () => {
    if (k.tables.get(vmf.pmdp) !== vmf.origPte) return 0;
    if (anon) addNewAnonRmapPmd(k, page, vmf.vma, base);
    else folioAddRmapEntire(k, page);
    return 1;
  });
  let result = 0;
  if (same !== 0) {
    const entry = makeHugePte(k, vmf, page, vmf.has(VM_SHARED));
    const marked = markerUffdWp(vmf.origPte) ? pteMkuffdWp(k.pte.wrprotect(entry)) : entry;
    yield setPteAt(k, vmf.mm, base, vmf.pmdp, marked);
    if (vmf.write && !vmf.has(VM_SHARED)) {
      // The entry shows read-only first and is upgraded or replaced in the same fault.
      vmf.origPte = marked;
      result = (yield* hugetlbWp(k, vmf)).result;
    }
  }
  yield unlockPtl(k, vmf.pmdp);
  yield step("folio_unlock", () => {
    k.pages.unmark(page, PG_LOCKED);
    if (same === 0) folioPut(k, page);
    return 0;
  });
  return yield* out(k, result);
}

function* out(k: Kernel, result: number): Path<number> {
  yield mutexUnlock(k.hugetlb.faultMutex);
  return result;
}

/** The cached huge page with a reference, {@link ABSENT}, or {@link BEYOND_END}. */
function lookup(k: Kernel, vmf: VmFault): number {
  const inode = k.files.inode(k.vmas.file(vmf.vma));
  const pgoff = k.vmas.linearIndex(vmf.vma, hugeBase(k, vmf.vpn));
  const page = k.files.cached(inode, pgoff);
  if (page === 0) return pgoff >= k.files.size(inode) ? BEYOND_END : ABSENT;
  k.pages.get(page);
  return page;
}

/** The cache takes a reference of its own; the fault keeps the one of the allocation. */
function addToCache(k: Kernel, vmf: VmFault, page: number): void {
  const inode = k.files.inode(k.vmas.file(vmf.vma));
  const pgoff = k.vmas.linearIndex(vmf.vma, hugeBase(k, vmf.vpn));
  k.files.setCached(inode, pgoff, page);
  k.pages.setMapping(page, inode);
  k.pages.setIndex(page, pgoff);
  k.pages.mark(page, PG_UPTODATE);
  k.pages.get(page);
}
