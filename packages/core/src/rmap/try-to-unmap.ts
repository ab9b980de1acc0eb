import { call, type Path, step } from "@mmu-notifier/steps";
import { lockPtl, unlockPtl } from "../fault/pte-map.js";
import { folioPut } from "../folio.js";
import { pageSlot } from "../folio-swap.js";
import { PAGE_SIZE } from "../geometry.js";
import { splitHugePmd, splitHugePmdLocked } from "../huge/split-huge-pmd.js";
import type { Kernel } from "../kernel.js";
import { since } from "../kernel-profile.js";
import { PG_ANON, PG_DIRTY, PG_HUGETLB, PG_LAZYFREE, PG_SWAPBACKED, PG_SWAPCACHE } from "../page.js";
import { PMD_LEVEL, PTE_LEVEL, type Ptep } from "../page-table.js";
import {
  mkSwp,
  type Pte,
  PTE_SOFT_DIRTY,
  PTE_UFFD_WP,
  ptePfn,
  SWP_EXCLUSIVE,
  SWP_HWPOISON,
  SWP_MARKER_UFFD_WP,
  SWP_SWAP,
} from "../pte.js";
import { contpteTryUnfold } from "../tlb/contpte.js";
import { flushTlbRange } from "../tlb/flush.js";
import { hugePtepClearFlush, notifyUnderPtl, ptepClearFlush, ptepGetAndClear, setPteAt } from "../tlb/ptep.js";
import { setTlbUbcFlushPending, shouldDeferFlush, type TlbUnmapBatch } from "../tlb/unmap-batch.js";
import { VM_LOCKED, VM_UFFD_WP } from "../vma.js";
import { MAPPED_HUGE, mappedAt, NOT_MAPPED } from "./page-vma-mapped.js";
import { folioMapcount, folioRemoveRmap, folioRemoveRmapEntire } from "./rmap.js";
import { discardPteBatch, folioUnmapPteBatch } from "./unmap-pte-batch.js";
import { type RmapLocking, type RmapTarget, rmapWalk } from "./rmap-walk.js";

/** TTU_ flags. */
export interface UnmapFlags {
  /** Flushes may be put off (TTU_BATCH_FLUSH). */
  readonly batch?: TlbUnmapBatch;
  /** Locked memory goes as well. */
  readonly ignoreMlock?: boolean;
  /** The page is broken: leave a poison entry. */
  readonly hwpoison?: boolean;
  /** A huge entry is split first (TTU_SPLIT_HUGE_PMD). */
  readonly splitHugePmd?: boolean;
  /** How the rmap lock is taken; for reading by default, for writing for a hugetlb file. */
  readonly locking?: RmapLocking;
}

/** try_to_unmap(): takes every entry that maps the folio away and leaves swap entries for anonymous pages. The folio is locked. */
export function tryToUnmap(k: Kernel, cpu: number, head: number, flags: UnmapFlags): Path {
  return call("try_to_unmap", unmap(k, cpu, head, flags));
}

function* unmap(k: Kernel, cpu: number, head: number, flags: UnmapFlags): Path {
  const hugetlbFile = yield step("folio_test_hugetlb", () =>
    k.pages.test(head, PG_HUGETLB) && !k.pages.test(head, PG_ANON) ? 1 : 0,
  );
  yield* rmapWalk(
    k,
    head,
    (target) => unmapVma(k, cpu, head, target, flags),
    flags.locking ?? (hugetlbFile !== 0 ? "write" : "read"),
  );
}

/** One VMA of the walk, which goes on while anybody maps the folio. */
function* unmapVma(k: Kernel, cpu: number, head: number, target: RmapTarget, flags: UnmapFlags): Path<boolean> {
  if (!(yield* call("try_to_unmap_one", unmapOne(k, cpu, head, target, flags)))) return false;
  return (yield step("folio_mapped", () => folioMapcount(k, head))) !== 0;
}

function* unmapOne(k: Kernel, cpu: number, head: number, target: RmapTarget, flags: UnmapFlags): Path<boolean> {
  const { vma, mm, start, end } = target;
  // Up to v6.9 the split came before the range and had one of its own.
  if (flags.splitHugePmd === true && !since(k.profile, 6, 10)) yield* splitHugePmd(k, cpu, vma, start);
  const range = { mm, start: start * PAGE_SIZE, end: end * PAGE_SIZE, event: "MMU_NOTIFY_CLEAR" } as const;
  yield* k.bus.invalidateRangeStart(range);
  const goesOn = yield* unmapEntries(k, cpu, head, target, flags);
  yield* k.bus.invalidateRangeEnd(range);
  return goesOn;
}

function* unmapEntries(k: Kernel, cpu: number, head: number, target: RmapTarget, flags: UnmapFlags): Path<boolean> {
  const { mm, start, end } = target;
  for (let at = start; at < end;) {
    const from = at;
    const found = yield step("page_vma_mapped_walk", () => mappedAt(k, mm, head, from, end, false));
    if (found === NOT_MAPPED) return true;
    const huge = found >= MAPPED_HUGE;
    const vpn = huge ? found - MAPPED_HUGE : found;
    const ptep = yield step("pte_offset_map", () => k.tables.find(k.mms.pgd(mm), huge ? PMD_LEVEL : PTE_LEVEL, vpn));
    yield lockPtl(k, ptep);
    const result = yield* unmapLocked(k, cpu, head, target, found, ptep, flags);
    yield unlockPtl(k, ptep);
    if (result === KEEP) return false;
    if (result === DONE) at = vpn + (huge ? k.tables.hugePages : 1);
  }
  return true;
}

const DONE = 0;
const KEEP = 1;
const AGAIN = 2;

/** One entry, under its PTL. */
function* unmapLocked(
  k: Kernel,
  cpu: number,
  head: number,
  target: RmapTarget,
  found: number,
  ptep: Ptep,
  flags: UnmapFlags,
): Path<number> {
  const { vma, mm, end } = target;
  const huge = found >= MAPPED_HUGE;
  const vpn = huge ? found - MAPPED_HUGE : found;
  const still = yield step("check_pte", () => (mappedAt(k, mm, head, vpn, end, false) === found ? 1 : 0));
  if (still === 0) return AGAIN;
  if (flags.ignoreMlock !== true) {
    const locked = yield step("VM_LOCKED", () => (k.vmas.has(vma, VM_LOCKED) ? 1 : 0));
    if (locked !== 0) return KEEP;
  }
  const hugetlb = (yield step("folio_test_hugetlb", () => (k.pages.test(head, PG_HUGETLB) ? 1 : 0))) !== 0;
  if (huge && !hugetlb) {
    if (flags.splitHugePmd !== true) return KEEP;
    yield* splitHugePmdLocked(k, cpu, mm, vma, vpn, ptep);
    return AGAIN;
  }
  return yield* unmapEntry(k, cpu, target, vpn, ptep, huge, flags);
}

function* unmapEntry(
  k: Kernel,
  cpu: number,
  { vma, mm, end }: RmapTarget,
  vpn: number,
  ptep: Ptep,
  huge: boolean,
  flags: UnmapFlags,
): Path<number> {
  const pages = huge || flags.hwpoison === true ? 1 : yield* pteBatch(k, vpn, end, ptep);
  if (pages > 1) return (yield* discardPteBatch(k, cpu, mm, vpn, ptep, pages, flags.batch)) ? DONE : KEEP;
  let before: Pte;
  if (huge) before = yield* hugePtepClearFlush(k, cpu, mm, vpn, ptep);
  else if (flags.batch !== undefined && (yield* shouldDeferFlush(k, cpu, mm))) {
    yield* contpteTryUnfold(k, cpu, mm, vpn, ptep);
    before = yield ptepGetAndClear(k, ptep);
    yield* setTlbUbcFlushPending(k, cpu, mm, flags.batch, before, vpn);
  } else if (since(k.profile, 6, 15)) before = yield* clearFlushRange(k, cpu, mm, vpn, ptep);
  else before = yield* ptepClearFlush(k, cpu, mm, vpn, ptep);
  const anon = yield step("folio_test_anon", () => (k.pages.test(ptePfn(before), PG_ANON) ? 1 : 0));
  const after = yield step("try_to_unmap_one", () => replacement(k, vma, before, huge, flags));
  if (after !== 0) yield setPteAt(k, mm, vpn, ptep, after);
  if (after === before) return KEEP;
  if (anon !== 0 && flags.hwpoison !== true) yield* notifyUnderPtl(k, mm, vpn, 1);
  yield step("folio_remove_rmap_pte", () => {
    const pfn = ptePfn(before);
    if (huge) folioRemoveRmapEntire(k, pfn);
    else folioRemoveRmap(k, pfn);
    folioPut(k, pfn);
    return 0;
  });
  return DONE;
}

/** Since entries go in batches, their flush is one of a range, which asks nobody whether a TLB can hold them. */
function* clearFlushRange(k: Kernel, cpu: number, mm: number, vpn: number, ptep: Ptep): Path<Pte> {
  yield* contpteTryUnfold(k, cpu, mm, vpn, ptep);
  const before = yield ptepGetAndClear(k, ptep);
  yield* flushTlbRange(k, cpu, mm, vpn, vpn + 1);
  return before;
}

function* pteBatch(k: Kernel, vpn: number, end: number, ptep: Ptep): Path<number> {
  return yield step("folio_unmap_pte_batch", () => folioUnmapPteBatch(k, ptep, vpn, end));
}

/** What comes where the entry was: a swap or poison entry, a marker, nothing, or the entry itself when the page has to stay. */
function replacement(k: Kernel, vma: number, before: Pte, huge: boolean, flags: UnmapFlags): Pte {
  const pfn = ptePfn(before);
  if (k.pte.dirty(before)) k.pages.mark(pfn, PG_DIRTY);
  if (flags.hwpoison === true) return mkSwp(SWP_HWPOISON, pfn);
  if (huge) return 0;
  if (!k.pages.test(pfn, PG_ANON)) {
    const keeps = (before & PTE_UFFD_WP) !== 0 && k.vmas.has(vma, VM_UFFD_WP) && since(k.profile, 5, 19);
    return keeps ? mkSwp(SWP_MARKER_UFFD_WP, 0) : 0;
  }
  if (!k.pages.test(pfn, PG_SWAPBACKED)) {
    // MADV_FREE: gone if nobody wrote and nobody else looks at it. References: the mappings and the isolation.
    const alone = k.pages.refcount(pfn) === 1 + folioMapcount(k, k.pages.head(pfn));
    if (alone && !k.pages.test(pfn, PG_DIRTY)) return 0;
    k.pages.mark(pfn, PG_SWAPBACKED);
    k.pages.unmark(pfn, PG_LAZYFREE);
    return before;
  }
  if (!k.pages.test(pfn, PG_SWAPCACHE)) return before;
  const exclusive = k.pages.anonExclusive(pfn);
  if (exclusive && k.pages.pincount(pfn) > 0) return before;
  k.pages.setAnonExclusive(pfn, false);
  const slot = pageSlot(k, pfn);
  k.swap.get(slot);
  return mkSwp(SWP_SWAP, slot, (exclusive ? SWP_EXCLUSIVE : 0) | (before & (PTE_SOFT_DIRTY | PTE_UFFD_WP)));
}
