import { call, type Path, step } from "@mmu-notifier/steps";
import { folioPut } from "../folio.js";
import { PAGE_SIZE } from "../geometry.js";
import { hugeBase } from "../huge/huge-zero.js";
import type { Kernel } from "../kernel.js";
import { since } from "../kernel-profile.js";
import { PG_ANON } from "../page.js";
import { mkPte, type Pte, pteMkhuge, pteMkuffdWp, pteMkyoung, ptePfn, pteUffdWp } from "../pte.js";
import { folioRemoveRmapEntire } from "../rmap/rmap.js";
import { hugePtepClearFlush, notifyUnderPtl, setPteAt } from "../tlb/ptep.js";
import { ptepSetAccessFlags, updateMmuCache } from "../tlb/set-access-flags.js";
import { VM_MAYSHARE, VM_WRITE } from "../vma.js";
import { anonVmaPrepare } from "../fault/anon-vma-prepare.js";
import { lockPtl, unlockPtl } from "../fault/pte-map.js";
import { VM_FAULT_SIGBUS, VM_FAULT_SIGSEGV, type VmFault } from "../fault/vm-fault.js";
import { vmPageProt } from "../fault/vm-page-prot.js";
import { addNewAnonRmapPmd } from "../huge/anon-huge-fault.js";
import { allocHugetlbFolio } from "./hugetlb-alloc.js";
import { unmapRefPrivate } from "./unmap-ref-private.js";

/** What hugetlb_wp() did: VM_FAULT_ bits, and what set_access_flags said. */
export interface HugetlbWpResult {
  readonly result: number;
  readonly upgrade: number;
}

const COPY = 0;
const REUSE = 1;

/**
 * hugetlb_wp(): a write meets a huge page without write permission. Unlike for base pages the map count decides: a page that
 * only one entry maps is reused. Entered and left with the PTL held; dropped in between for a copy.
 */
export function hugetlbWp(k: Kernel, vmf: VmFault): Path<HugetlbWpResult> {
  return call("hugetlb_wp", wp(k, vmf));
}

function* wp(k: Kernel, vmf: VmFault): Path<HugetlbWpResult> {
  if (!vmf.unshare && pteUffdWp(vmf.origPte)) return { result: 0, upgrade: 0 };
  // FOLL_FORCE may break sharing of hugetlb since v6.14; the entry stays read-only.
  if (!vmf.unshare && !vmf.has(VM_WRITE) && !since(k.profile, 6, 14)) return { result: VM_FAULT_SIGSEGV, upgrade: 0 };
  if (vmf.has(VM_MAYSHARE)) return { result: 0, upgrade: yield* setHugePtepWritable(k, vmf) };
  const page = ptePfn(vmf.origPte);
  const decision = yield step("folio_mapcount", () => {
    if (k.pages.entireMapcount(page) !== 1 || !k.pages.test(page, PG_ANON)) {
      k.pages.get(page);
      return COPY;
    }
    k.pages.setAnonExclusive(page, true);
    return REUSE;
  });
  if (decision === REUSE)
    return { result: 0, upgrade: vmf.unshare || !vmf.has(VM_WRITE) ? 0 : yield* setHugePtepWritable(k, vmf) };
  return { result: yield* copy(k, vmf, page), upgrade: 0 };
}

/** set_huge_ptep_writable(). */
function* setHugePtepWritable(k: Kernel, vmf: VmFault): Path<number> {
  const entry = k.pte.mkwrite(k.pte.mkdirty(pteMkyoung(vmf.origPte)));
  const flags = yield* ptepSetAccessFlags(
    k,
    vmf.cpu,
    vmf.mm,
    vmf.vpn,
    vmf.pmdp,
    entry,
    true,
    "set_huge_ptep_writable",
    { hugetlb: true },
  );
  if (flags !== 0) yield* updateMmuCache(k, vmf.cpu, vmf.mm, vmf.vpn);
  return flags;
}

/** The copy, entered with the PTL held and a reference on the old page; leaves with the PTL held. */
function* copy(k: Kernel, vmf: VmFault, oldPage: number): Path<number> {
  const { mm, pmdp, vma } = vmf;
  const base = hugeBase(k, vmf.vpn);
  // The owner of the promise leaves it for a fault of its own page and takes from the rest of the pool.
  const owner = yield step("is_vma_resv_set", () =>
    k.vmas.private(vma) !== 0 && k.pages.test(oldPage, PG_ANON) ? 1 : 0,
  );
  yield unlockPtl(k, pmdp);
  const newPage = yield* allocHugetlbFolio(k, vma, vmf.vpn, owner !== 0);
  if (newPage === 0) {
    if (owner !== 0) yield* unmapRefPrivate(k, vmf, oldPage);
    yield drop(k, oldPage, 1);
    yield lockPtl(k, pmdp);
    // The owner's children have lost the page: the access starts over and finds it reusable.
    return owner !== 0 ? 0 : VM_FAULT_SIGBUS;
  }
  yield step("copy_user_large_folio", () => {
    anonVmaPrepare(k, vma);
    k.pages.setContent(newPage, k.pages.content(oldPage));
    for (let i = 0; i < k.tables.hugePages; i++) k.pages.setContent(newPage + i, k.pages.content(oldPage + i));
    return 0;
  });
  const range = {
    mm,
    start: base * PAGE_SIZE,
    end: (base + k.tables.hugePages) * PAGE_SIZE,
    event: "MMU_NOTIFY_CLEAR",
  } as const;
  yield* k.bus.invalidateRangeStart(range);
  yield lockPtl(k, pmdp);
  const same = yield step("pte_same", () => (k.tables.get(pmdp) === vmf.origPte ? 1 : 0));
  if (same !== 0) {
    yield* hugePtepClearFlush(k, vmf.cpu, mm, base, pmdp);
    yield* notifyUnderPtl(k, mm, base, k.tables.hugePages);
    yield step("hugetlb_add_new_anon_rmap", () => {
      folioRemoveRmapEntire(k, oldPage);
      addNewAnonRmapPmd(k, newPage, vma, base);
      return 0;
    });
    const entry = makeHugePte(k, vmf, newPage, !vmf.unshare);
    yield setPteAt(k, mm, base, pmdp, pteUffdWp(vmf.origPte) ? pteMkuffdWp(k.pte.wrprotect(entry)) : entry);
  }
  yield unlockPtl(k, pmdp);
  yield* k.bus.invalidateRangeEnd(range);
  yield same !== 0 ? drop(k, oldPage, 2) : dropBoth(k, newPage, oldPage);
  yield lockPtl(k, pmdp);
  return 0;
}

function drop(k: Kernel, page: number, references: number) {
  return step("folio_put", () => {
    folioPut(k, page, references);
    return 0;
  });
}

function dropBoth(k: Kernel, newPage: number, oldPage: number) {
  return step("folio_put", () => {
    folioPut(k, newPage);
    folioPut(k, oldPage);
    return 0;
  });
}

/** make_huge_pte(). */
export function makeHugePte(k: Kernel, vmf: VmFault, page: number, tryMkwrite: boolean): Pte {
  const fresh = pteMkhuge(mkPte(page, vmPageProt(k, vmf.vmFlags, vmf.kind)));
  const entry = tryMkwrite && vmf.has(VM_WRITE) ? k.pte.mkwrite(k.pte.mkdirty(fresh)) : k.pte.wrprotect(fresh);
  return pteMkyoung(entry);
}
