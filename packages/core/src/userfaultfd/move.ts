import { call, downRead, mightSleep, type Path, spinLock, step, upRead } from "@mmu-notifier/steps";
import { EAGAIN, EBUSY, EEXIST, EINVAL, ENOENT } from "../errno.js";
import { anonVmaPrepare } from "../fault/anon-vma-prepare.js";
import { lockPtl, unlockPtl } from "../fault/pte-map.js";
import { vmPageProtOf } from "../fault/vm-page-prot.js";
import { PAGE_SIZE } from "../geometry.js";
import { folioPut } from "../folio.js";
import { isHugeZeroPmd } from "../huge/huge-zero.js";
import { splitFolio } from "../huge/split-folio.js";
import { splitHugePmd } from "../huge/split-huge-pmd.js";
import type { Kernel } from "../kernel.js";
import { since } from "../kernel-profile.js";
import { PG_ANON } from "../page.js";
import { PMD_LEVEL, PTE_LEVEL, type Ptep } from "../page-table.js";
import {
  isSwapPte,
  mkPte,
  type Pte,
  pteHugeLeaf,
  pteMkhuge,
  pteMkspecial,
  pteMkyoung,
  pteNone,
  ptePfn,
  ptePresent,
  pteSpecial,
  SWP_SWAP,
  swpExclusive,
  swpType,
} from "../pte.js";
import type { Thread } from "../thread.js";
import { flushTlbRange } from "../tlb/flush.js";
import { contpteTryUnfold } from "../tlb/contpte.js";
import { pmdpHugeClearFlush, ptepClearFlush, ptepGetAndClear, setPteAt } from "../tlb/ptep.js";
import { VM_ACCESS_FLAGS, VM_LOCKED, VM_SHARED, VM_WRITE } from "../vma.js";
import { validRange } from "./valid-range.js";

/**
 * UFFDIO_MOVE: `length` bytes of anonymous memory move from `source` to `destination`, page by page. The source is announced;
 * where they go nothing was. Since v6.8.
 *
 * @returns 0 or -errno
 */
export function uffdMove(k: Kernel, t: Thread, destination: number, source: number, length: number): Path<number> {
  return call("userfaultfd_move", move(k, t, destination, source, length));
}

function* move(k: Kernel, t: Thread, destination: number, source: number, length: number): Path<number> {
  if (!since(k.profile, 6, 8) || !validRange(k, destination, length) || !validRange(k, source, length)) return -EINVAL;
  const lock = k.mms.mmapLock(t.mm);
  yield downRead(lock);
  const result = yield* movePages(k, t, destination / PAGE_SIZE, source / PAGE_SIZE, length / PAGE_SIZE);
  yield upRead(lock);
  return result;
}

function* movePages(k: Kernel, t: Thread, dst: number, src: number, pages: number): Path<number> {
  // uffd_move_lock(): the destination is locked with its anon_vma in place before anybody asks whether the move is legal.
  yield step("find_vma_and_prepare_anon", () => {
    const vma = k.vmas.lookup(k.mms.vmaList(t.mm), dst);
    if (vma !== 0 && !k.vmas.has(vma, VM_SHARED)) anonVmaPrepare(k, vma);
    return 0;
  });
  const error = yield step("validate_move_areas", () => validate(k, t.mm, dst, src, pages));
  if (error !== 0) return error;
  const list = yield step("mm->mm_mt", () => k.mms.vmaList(t.mm));
  const from = yield step("find_vma", () => k.vmas.lookup(list, src));
  const to = yield step("find_vma", () => k.vmas.lookup(list, dst));
  const span = k.tables.hugePages;
  for (let done = 0; done < pages;) {
    const at = done;
    const left = Math.min(pages - done, span - ((src + done) % span), span - ((dst + done) % span));
    const moved = yield* moveSome(k, t, { from, to, src: src + at, dst: dst + at, rest: pages - at }, left);
    // A move that stopped half-way says how far it came, with -EAGAIN.
    if (moved < 0) return done > 0 ? -EAGAIN : moved;
    done += moved;
  }
  return 0;
}

interface Place {
  readonly from: number;
  readonly to: number;
  readonly src: number;
  readonly dst: number;
  /** Pages from `src` on that are still to be moved. */
  readonly rest: number;
}

function validate(k: Kernel, mm: number, dst: number, src: number, pages: number): number {
  const list = k.mms.vmaList(mm);
  const from = k.vmas.lookup(list, src);
  const to = k.vmas.lookup(list, dst);
  if (from === 0 || to === 0) return -ENOENT;
  if (k.vmas.has(from, VM_SHARED) || k.vmas.has(to, VM_SHARED)) return -EINVAL;
  if (src + pages > k.vmas.end(from) || dst + pages > k.vmas.end(to)) return -EINVAL;
  const differs = (k.vmas.flags(from) ^ k.vmas.flags(to)) & (VM_ACCESS_FLAGS | VM_LOCKED);
  if (differs !== 0 || !k.vmas.has(from, VM_WRITE) || k.vmas.uffd(to) === 0) return -EINVAL;
  if (k.vmas.file(from) !== 0 || k.vmas.file(to) !== 0) return -EINVAL;
  return 0;
}

/** Pages moved, or -errno. Never beyond one table on either side. */
function* moveSome(k: Kernel, t: Thread, place: Place, left: number): Path<number> {
  const { from, src, dst } = place;
  const span = k.tables.hugePages;
  yield mightSleep("mm_alloc_pmd");
  const pmdp = yield step("mm_find_pmd", () => k.tables.find(k.mms.pgd(t.mm), PMD_LEVEL, src));
  if (pmdp === 0) return -ENOENT;
  const target = yield step("mm_alloc_pmd", () => k.tables.findOrCreate(k.mms.pgd(t.mm), PMD_LEVEL, dst));
  const taken = yield step("pmd_trans_huge(dst_pmdval)", () => (pteHugeLeaf(k.tables.get(target)) ? 1 : 0));
  if (taken !== 0) return -EEXIST;
  const huge = yield step("pmd_trans_huge_lock", () => sourceKind(k, pmdp));
  if (huge < 0) return huge;
  if (huge === HUGE) {
    const free = yield step("pmd_none", () => (pteNone(k.tables.get(target)) ? 1 : 0));
    if (left === span && free !== 0) return yield* moveHuge(k, t, place, pmdp, target);
    const busy = yield step("PageAnonExclusive", () => (splits(k, pmdp) ? 0 : 1));
    if (busy !== 0) return -EBUSY;
    yield* splitHugePmd(k, t.cpu, from, src);
  }
  const dptep = yield step("pte_alloc", () => k.tables.findOrCreate(k.mms.pgd(t.mm), PTE_LEVEL, dst));
  if (dptep === 0) return -EEXIST;
  const sptep = yield step("pte_offset_map", () => k.tables.find(k.mms.pgd(t.mm), PTE_LEVEL, src));
  if (sptep === 0) return -ENOENT;
  // Since v6.17 a run of pages goes under one range and one flush. The range is all that is left, also beyond the tables.
  const batches = since(k.profile, 6, 17);
  const announced = batches ? place.rest : 1;
  const most = batches ? left : 1;
  const range = {
    mm: t.mm,
    start: src * PAGE_SIZE,
    end: (src + announced) * PAGE_SIZE,
    event: "MMU_NOTIFY_CLEAR",
  } as const;
  yield* k.bus.invalidateRangeStart(range);
  let moved = yield* moveLocked(k, t, place, sptep, dptep, most);
  if (moved === LARGE_FOLIO) {
    const error = yield* splitSource(k, t.cpu, sptep);
    moved = error !== 0 ? error : yield* moveLocked(k, t, place, sptep, dptep, most);
  }
  yield* k.bus.invalidateRangeEnd(range);
  return moved;
}

const TABLE = 0;
const HUGE = 1;

/** Inside a step. */
function sourceKind(k: Kernel, pmdp: Ptep): number {
  const pmd = k.tables.get(pmdp);
  if (pteNone(pmd)) return -ENOENT;
  return pteHugeLeaf(pmd) ? HUGE : TABLE;
}

/** A huge page that is shared stays whole. Inside a step. */
function splits(k: Kernel, pmdp: Ptep): boolean {
  const pmd = k.tables.get(pmdp);
  return isHugeZeroPmd(k, pmd) || k.pages.anonExclusive(ptePfn(pmd));
}

/** The page is part of a large folio, which has to be split with the locks dropped. */
const LARGE_FOLIO = 0;

function* moveLocked(k: Kernel, t: Thread, place: Place, sptep: Ptep, dptep: Ptep, announced: number): Path<number> {
  yield* takeLocks(k, sptep, dptep);
  const moved = yield* moveEntries(k, t, place, sptep, dptep, announced);
  yield* dropLocks(k, sptep, dptep);
  return moved;
}

function* splitSource(k: Kernel, cpu: number, sptep: Ptep): Path<number> {
  const folio = yield step("folio_get", () => {
    const pte = k.tables.get(sptep);
    // The locks are dropped: what was there may be gone, or split by somebody else.
    if (!isLarge(k, pte)) return 0;
    const head = k.pages.head(ptePfn(pte));
    k.pages.get(head);
    return head;
  });
  if (folio === 0) return 0;
  const error = yield* splitFolio(k, cpu, folio);
  yield step("folio_put", () => {
    folioPut(k, folio);
    return 0;
  });
  return error;
}

/** double_pt_lock(): in the order of the tables. */
function* takeLocks(k: Kernel, a: Ptep, b: Ptep): Path {
  const low = Math.min(k.tables.tableOf(a), k.tables.tableOf(b));
  const high = Math.max(k.tables.tableOf(a), k.tables.tableOf(b));
  yield lockPtl(k, k.tables.tableOf(a) === low ? a : b);
  if (high !== low) yield spinLock(k.tables.ptl(high), 1);
}

function* dropLocks(k: Kernel, a: Ptep, b: Ptep): Path {
  if (k.tables.tableOf(a) !== k.tables.tableOf(b)) yield unlockPtl(k, b);
  yield unlockPtl(k, a);
}

/** Why the entry at `sptep` may not move: -errno, or 0. */
function refusal(k: Kernel, sptep: Ptep, dptep: Ptep): number {
  const pte = k.tables.get(sptep);
  if (!pteNone(k.tables.get(dptep))) return -EEXIST;
  if (pteNone(pte)) return -ENOENT;
  if (isSwapPte(pte)) return swpType(pte) === SWP_SWAP && swpExclusive(pte) ? 0 : -EBUSY;
  if (pteSpecial(pte)) return since(k.profile, 6, 9) ? 0 : -EBUSY;
  const pfn = ptePfn(pte);
  const movable = k.pages.test(pfn, PG_ANON) && k.pages.anonExclusive(pfn) && k.pages.pincount(pfn) === 0;
  return movable ? 0 : -EBUSY;
}

function* moveEntries(
  k: Kernel,
  t: Thread,
  { to, src, dst }: Place,
  sptep: Ptep,
  dptep: Ptep,
  pages: number,
): Path<number> {
  const refused = yield step("move_pages_pte", () => refusal(k, sptep, dptep));
  if (refused !== 0) return refused;
  const large = yield step("folio_test_large", () => (isLarge(k, k.tables.get(sptep)) ? 1 : 0));
  if (large !== 0) return LARGE_FOLIO;
  const present = yield step("pte_present", () => (isMovablePage(k.tables.get(sptep)) ? 1 : 0));
  if (present === 0) {
    yield* moveSpecial(k, t, to, src, dst, sptep, dptep);
    return 1;
  }
  if (pages === 1) {
    const before = yield* ptepClearFlush(k, t.cpu, t.mm, src, sptep);
    yield setPteAt(k, t.mm, dst, dptep, yield movedEntry(k, to, dst, before));
    return 1;
  }
  let moved = 0;
  for (; moved < pages; moved++) {
    const i = moved;
    const next = yield step("move_present_ptes", () => (mayFollow(k, sptep + i, dptep + i) ? 1 : 0));
    if (next === 0) break;
    yield* contpteTryUnfold(k, t.cpu, t.mm, src + i, sptep + i);
    const before = yield ptepGetAndClear(k, sptep + i);
    yield setPteAt(k, t.mm, dst + i, dptep + i, yield movedEntry(k, to, dst + i, before));
  }
  yield* flushTlbRange(k, t.cpu, t.mm, src, src + moved);
  return moved;
}

const isMovablePage = (pte: Pte): boolean => ptePresent(pte) && !pteSpecial(pte);

/** Inside a step. */
function isLarge(k: Kernel, pte: Pte): boolean {
  return isMovablePage(pte) && k.pages.pages(ptePfn(pte)) > 1;
}

/** Inside a step. */
function mayFollow(k: Kernel, sptep: Ptep, dptep: Ptep): boolean {
  const pte = k.tables.get(sptep);
  return isMovablePage(pte) && !isLarge(k, pte) && refusal(k, sptep, dptep) === 0;
}

/** The page belongs to the other VMA from now on: folio_move_anon_rmap(). Result: the entry for it. */
function movedEntry(k: Kernel, to: number, dst: number, before: Pte) {
  return step("folio_move_anon_rmap", () => {
    const pfn = ptePfn(before);
    k.pages.setMapping(pfn, k.vmas.anonVma(to));
    k.pages.setIndex(pfn, k.vmas.linearIndex(to, dst));
    return k.pte.maybeMkwrite(k.pte.mkdirty(pteMkyoung(mkPte(pfn, vmPageProtOf(k, to)))), k.vmas.flags(to));
  });
}

/** A zero page, or a swap entry. */
function* moveSpecial(k: Kernel, t: Thread, to: number, src: number, dst: number, sptep: Ptep, dptep: Ptep): Path {
  const before = yield* ptepClearFlush(k, t.cpu, t.mm, src, sptep);
  const after = yield step("set_pte_at", () =>
    ptePresent(before) ? pteMkspecial(mkPte(k.pages.zeroPfn, vmPageProtOf(k, to))) : before,
  );
  yield setPteAt(k, t.mm, dst, dptep, after);
}

/** move_pages_huge_pmd(): a huge page as a whole. */
function* moveHuge(k: Kernel, t: Thread, { to, src, dst }: Place, sptep: Ptep, dptep: Ptep): Path<number> {
  const span = k.tables.hugePages;
  const range = { mm: t.mm, start: src * PAGE_SIZE, end: (src + span) * PAGE_SIZE, event: "MMU_NOTIFY_CLEAR" } as const;
  yield* k.bus.invalidateRangeStart(range);
  yield* takeLocks(k, sptep, dptep);
  const movable = yield step("PageAnonExclusive", () => {
    const pfn = ptePfn(k.tables.get(sptep));
    return k.pages.test(pfn, PG_ANON) && k.pages.anonExclusive(pfn) && k.pages.pincount(pfn) === 0 ? 1 : 0;
  });
  if (movable !== 0) {
    const before = yield* pmdpHugeClearFlush(k, t.cpu, t.mm, src, sptep);
    yield setPteAt(k, t.mm, dst, dptep, pteMkhuge(yield movedEntry(k, to, dst, before)));
  }
  yield* dropLocks(k, sptep, dptep);
  yield* k.bus.invalidateRangeEnd(range);
  return movable !== 0 ? span : -EBUSY;
}
