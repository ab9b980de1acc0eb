import { call, type Path, step } from "@mmu-notifier/steps";
import { PAGE_SIZE } from "../geometry.js";
import type { Kernel } from "../kernel.js";
import { lockBoth, unlockBoth } from "../lifecycle/lock-both.js";
import { needsCowForDma } from "../lifecycle/copy-entry.js";
import { PG_ANON, PG_HUGETLB } from "../page.js";
import { hugeOrder } from "../huge/huge-zero.js";
import { PMD_LEVEL, type Ptep } from "../page-table.js";
import {
  isPteMarker,
  mkSwp,
  PTE_HUGE,
  PTE_UFFD_WP,
  mkPte,
  type Pte,
  pteClearUffdWp,
  pteMkold,
  pteNone,
  ptePfn,
  ptePresent,
  SWP_MIGRATION_READ,
  swpOffset,
} from "../pte.js";
import { folioAddRmapEntire } from "../rmap/rmap.js";
import { isCowMapping, VM_UFFD_WP } from "../vma.js";
import { vmPageProtOf } from "../fault/vm-page-prot.js";

const DONE = 0;
const NEEDS_PAGE = 1;

/** copy_hugetlb_page_range(): the huge pages of a fork; announced whole as CLEAR if they are copied on write. */
export function copyHugetlbPageRange(k: Kernel, dst: number, src: number): Path {
  return call("copy_hugetlb_page_range", copy(k, dst, src));
}

function* copy(k: Kernel, dst: number, src: number): Path {
  const mm = yield step("src_vma->vm_mm", () => k.vmas.mm(src));
  const child = yield step("dst_vma->vm_mm", () => k.vmas.mm(dst));
  const start = yield step("vma->vm_start", () => k.vmas.start(src));
  const end = yield step("vma->vm_end", () => k.vmas.end(src));
  const flags = yield step("vma->vm_flags", () => k.vmas.flags(src));
  const cow = isCowMapping(flags);
  const range = { mm, start: start * PAGE_SIZE, end: end * PAGE_SIZE, event: "MMU_NOTIFY_CLEAR" } as const;
  if (cow) yield* k.bus.invalidateRangeStart(range);
  const span = k.tables.hugePages;
  for (let at = start; at < end; at += span) {
    const vpn = at;
    const from = yield step("hugetlb_walk", () => k.tables.find(k.mms.pgd(mm), PMD_LEVEL, vpn));
    if (from === 0) continue;
    const present = yield step("huge_pte_none", () => (pteNone(k.tables.get(from)) ? 0 : 1));
    if (present === 0) continue;
    const to = yield step("huge_pte_alloc", () => k.tables.findOrCreate(k.mms.pgd(child), PMD_LEVEL, vpn));
    for (let spare = 0; ;) {
      yield* lockBoth(k, to, from);
      const page = spare;
      const result = yield step("copy_hugetlb_page", () => copyOne(k, dst, src, to, from, cow, page));
      yield* unlockBoth(k, to, from);
      if (result === DONE) break;
      spare = yield step("alloc_hugetlb_folio", () =>
        k.hugetlb.take(false) ? k.pages.alloc(hugeOrder(k), PG_HUGETLB) : 0,
      );
      if (spare === 0) break;
    }
  }
  if (cow) yield* k.bus.invalidateRangeEnd(range);
}

function copyOne(k: Kernel, dst: number, src: number, to: Ptep, from: Ptep, cow: boolean, spare: number): number {
  const pte = k.tables.get(from);
  if (pteNone(pte)) return DONE;
  const uffd = k.vmas.has(dst, VM_UFFD_WP);
  if (isPteMarker(pte)) {
    if (uffd) k.tables.set(to, pte);
    return DONE;
  }
  if (!ptePresent(pte)) {
    const head = swpOffset(pte);
    const entry = cow ? mkSwp(SWP_MIGRATION_READ, head, pte & PTE_UFFD_WP) : pte;
    if (cow) k.tables.set(from, entry);
    k.tables.set(to, uffd ? entry : entry & ~PTE_UFFD_WP);
    return DONE;
  }
  const pfn = ptePfn(pte);
  if (k.pages.test(pfn, PG_ANON)) {
    if (k.pages.anonExclusive(pfn) && needsCowForDma(k, src, pfn)) {
      if (spare === 0) return NEEDS_PAGE;
      k.pages.setContent(spare, k.pages.content(pfn));
      k.pages.mark(spare, PG_ANON);
      k.pages.setMapping(spare, k.vmas.anonVma(dst));
      k.pages.setAnonExclusive(spare, true);
      folioAddRmapEntire(k, spare);
      k.tables.set(
        to,
        k.pte.maybeMkwrite(k.pte.mkdirty(mkPte(spare, vmPageProtOf(k, dst))), k.vmas.flags(dst)) | PTE_HUGE,
      );
      return DONE;
    }
    k.pages.setAnonExclusive(pfn, false);
  }
  k.pages.get(pfn);
  folioAddRmapEntire(k, pfn);
  let entry: Pte = pte;
  if (cow) {
    entry = k.pte.wrprotect(pte);
    k.tables.set(from, entry);
  }
  k.tables.set(to, uffd ? pteMkold(entry) : pteClearUffdWp(pteMkold(entry)));
  return DONE;
}
