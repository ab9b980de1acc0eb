import { type Path, step } from "@mmu-notifier/steps";
import { PAGE_SIZE } from "../geometry.js";
import { folioPut } from "../folio.js";
import { hugeBase } from "../huge/huge-zero.js";
import type { Kernel } from "../kernel.js";
import { PMD_LEVEL } from "../page-table.js";
import { ptePfn, ptePresent } from "../pte.js";
import { folioRemoveRmapEntire } from "../rmap/rmap.js";
import { flushTlbRange } from "../tlb/flush.js";
import { ptepGetAndClear } from "../tlb/ptep.js";
import { VM_HUGETLB } from "../vma.js";
import { lockPtl, unlockPtl } from "../fault/pte-map.js";
import type { VmFault } from "../fault/vm-fault.js";

/**
 * unmap_ref_private(): the pool is empty and the owner of the promise must have its page: it is taken away from every other
 * process (children that have not execed), which will get SIGBUS when they touch it.
 */
export function* unmapRefPrivate(k: Kernel, vmf: VmFault, page: number): Path {
  for (let at = yield nextMapper(k, vmf, page, 0); at !== 0; at = yield nextMapper(k, vmf, page, at)) {
    const mm = at;
    const base = hugeBase(k, vmf.vpn);
    const end = base + k.tables.hugePages;
    const range = { mm, start: base * PAGE_SIZE, end: end * PAGE_SIZE, event: k.profile.hugetlbTruncateEvent } as const;
    yield* k.bus.invalidateRangeStart(range);
    const pmdp = yield step("hugetlb_walk", () => k.tables.find(k.mms.pgd(mm), PMD_LEVEL, base));
    yield lockPtl(k, pmdp);
    yield ptepGetAndClear(k, pmdp);
    yield step("hugetlb_remove_rmap", () => {
      folioRemoveRmapEntire(k, page);
      return 0;
    });
    yield unlockPtl(k, pmdp);
    yield* k.bus.invalidateRangeEnd(range);
    yield* flushTlbRange(k, vmf.cpu, mm, base, end, { stridePages: k.tables.hugePages });
    yield step("folio_put", () => {
      folioPut(k, page);
      return 0;
    });
  }
}

/** The next mm after `after`, other than the faulting one, that maps `page` at the same address with a hugetlb VMA; 0 for none. */
function nextMapper(k: Kernel, vmf: VmFault, page: number, after: number) {
  return step("vma_interval_tree_foreach", () => {
    for (let mm = after + 1; mm < k.mms.segment.used; mm++) {
      if (!k.mms.isLive(mm) || mm === vmf.mm) continue;
      const vma = k.vmas.lookup(k.mms.vmaList(mm), vmf.vpn);
      if (vma === 0 || !k.vmas.has(vma, VM_HUGETLB)) continue;
      const pmdp = k.tables.find(k.mms.pgd(mm), PMD_LEVEL, vmf.vpn);
      const pmd = pmdp === 0 ? 0 : k.tables.get(pmdp);
      if (ptePresent(pmd) && ptePfn(pmd) === page) return mm;
    }
    return 0;
  });
}
