import { call, type Path, spinLock, spinUnlock, step } from "@mmu-notifier/steps";
import { PAGE_SIZE } from "../geometry.js";
import { splitHugePmd } from "../huge/split-huge-pmd.js";
import { moveHugetlbPageTables } from "../hugetlb/move-hugetlb.js";
import type { Kernel } from "../kernel.js";
import { since } from "../kernel-profile.js";
import { PMD_LEVEL, PTE_LEVEL, PUD_LEVEL, type Ptep } from "../page-table.js";
import {
  isPteMarker,
  isSwapPte,
  type Pte,
  PTE_SOFT_DIRTY,
  PTE_UFFD_WP,
  pteNone,
  ptePresent,
  pteTable,
  SWP_MARKER_UFFD_WP,
  swpType,
} from "../pte.js";
import { folioPteBatch, takeRun } from "../protect/change-run.js";
import { contpteTryUnfold, contpteTryUnfoldPartial, pteValidCont, setPtes } from "../tlb/contpte.js";
import { flushPmdTlbRange, flushTlbRange } from "../tlb/flush.js";
import { flushTlbBatchedPending } from "../tlb/unmap-batch.js";
import { VM_HUGETLB } from "../vma.js";
import { dropRmapLocks, type RmapLocks, takeRmapLocks, vmaInode } from "../vma/rmap-locks.js";

/** One move: pages [oldStart, oldEnd) of `from` go to `newStart` in `to`. */
interface Move {
  readonly k: Kernel;
  readonly cpu: number;
  readonly mm: number;
  readonly from: number;
  readonly to: number;
  readonly needRmapLocks: boolean;
  /** uffd-wp bits stay behind: the new VMA is not registered. */
  readonly clearUffdWp: boolean;
}

const NONE_LEFT = -1;

/**
 * move_page_tables(): moves entries, or whole tables where both places are aligned, and announces the old range as UNMAP. The
 * new range must be empty and is not announced. mmap_lock held for writing.
 */
export function movePageTables(
  k: Kernel,
  cpu: number,
  from: number,
  to: number,
  oldStart: number,
  newStart: number,
  pages: number,
  needRmapLocks: boolean,
): Path {
  return call("move_page_tables", moveAll(k, cpu, from, to, oldStart, newStart, pages, needRmapLocks));
}

function* moveAll(
  k: Kernel,
  cpu: number,
  from: number,
  to: number,
  oldStart: number,
  newStart: number,
  pages: number,
  needRmapLocks: boolean,
): Path {
  if (pages === 0) return;
  const hugetlb = yield step("is_vm_hugetlb_page", () => (k.vmas.has(from, VM_HUGETLB) ? 1 : 0));
  if (hugetlb !== 0) {
    yield* moveHugetlbPageTables(k, cpu, from, oldStart, newStart, pages);
    return;
  }
  const mm = yield step("vma->vm_mm", () => k.vmas.mm(from));
  const uffd = yield step("vma_has_uffd_without_event_remap", () => (k.vmas.uffd(from) !== 0 ? 1 : 0));
  const move: Move = { k, cpu, mm, from, to, needRmapLocks, clearUffdWp: uffd !== 0 && since(k.profile, 6, 14) };
  const slack = yield step("try_realign_addr", () => realignment(k, from, to, oldStart, newStart, pages));
  const end = oldStart + pages;
  const range = { mm, start: (oldStart - slack) * PAGE_SIZE, end: end * PAGE_SIZE, event: "MMU_NOTIFY_UNMAP" } as const;
  yield* k.bus.invalidateRangeStart(range);
  const shift = newStart - oldStart;
  for (let at = oldStart - slack; at < end;) at += yield* moveExtent(move, at, at + shift, end);
  yield* k.bus.invalidateRangeEnd(range);
}

/** try_realign_addr(): pages by which both ranges may begin earlier, so that whole tables can be moved (since v6.7). Inside a step. */
function realignment(k: Kernel, from: number, to: number, oldStart: number, newStart: number, pages: number): number {
  const span = k.tables.hugePages;
  const slack = oldStart % span;
  if (!since(k.profile, 6, 7) || slack === 0 || pages < span - slack || newStart % span !== slack) return 0;
  return canAlignDown(k, from, oldStart, slack) && canAlignDown(k, to, newStart, slack) ? slack : 0;
}

function canAlignDown(k: Kernel, vma: number, start: number, slack: number): boolean {
  return (
    k.vmas.start(vma) === start && k.vmas.findIntersection(k.mms.vmaList(k.vmas.mm(vma)), start - slack, start) === 0
  );
}

/** get_extent(): pages up to the next border of blocks of `span` pages at either place. */
function extentOf(span: number, oldAt: number, newAt: number, end: number): number {
  return Math.min(end - oldAt, span - (oldAt % span), span - (newAt % span));
}

/** Moves what lies up to the next border and returns how many pages that are. */
function* moveExtent(move: Move, oldAt: number, newAt: number, end: number): Path<number> {
  const { k, cpu, mm, from } = move;
  const { span, top } = k.tables;
  if (top >= PUD_LEVEL) {
    const byPud = extentOf(span[PUD_LEVEL]!, oldAt, newAt, end);
    const pud = yield step("get_old_pud", () => {
      const pudp = k.tables.find(k.mms.pgd(mm), PUD_LEVEL, oldAt);
      return pudp === 0 || pteNone(k.tables.get(pudp)) ? 0 : 1;
    });
    if (pud === 0) return byPud;
    if (byPud === span[PUD_LEVEL]! && (yield* moveTable(move, PUD_LEVEL, oldAt, newAt))) return byPud;
  }
  const extent = extentOf(k.tables.hugePages, oldAt, newAt, end);
  const whole = extent === k.tables.hugePages;
  const what = yield step("get_old_pmd", () => {
    const pmdp = k.tables.find(k.mms.pgd(mm), PMD_LEVEL, oldAt);
    const pmd = pmdp === 0 ? 0 : k.tables.get(pmdp);
    return pteNone(pmd) ? NOTHING : pteTable(pmd) ? TABLE : HUGE;
  });
  if (what === NOTHING) return extent;
  if (what === HUGE) {
    if (whole && (yield* moveHugePmd(move, oldAt, newAt))) return extent;
    yield* splitHugePmd(k, cpu, from, oldAt);
  } else if (whole && (yield* moveTable(move, PMD_LEVEL, oldAt, newAt))) return extent;
  yield* movePtes(move, oldAt, newAt, extent);
  return extent;
}

const NOTHING = 0;
const TABLE = 1;
const HUGE = 2;

function* lockBoth(k: Kernel, oldp: Ptep, newp: Ptep): Path {
  const first = k.tables.tableOf(oldp);
  const second = k.tables.tableOf(newp);
  yield spinLock(k.tables.ptl(first));
  if (second !== first) yield spinLock(k.tables.ptl(second), 1);
}

function* unlockBoth(k: Kernel, oldp: Ptep, newp: Ptep): Path {
  const first = k.tables.tableOf(oldp);
  const second = k.tables.tableOf(newp);
  if (second !== first) yield spinUnlock(k.tables.ptl(second));
  yield spinUnlock(k.tables.ptl(first));
}

/** take_rmap_locks() of the old VMA. */
function* rmapLocks(move: Move): Path<RmapLocks> {
  const { k, from } = move;
  const inode = yield* vmaInode(k, from);
  const anonVma = yield step("vma->anon_vma", () => k.vmas.anonVma(from));
  return yield* takeRmapLocks(k, inode, anonVma);
}

/** move_normal_pmd(), move_normal_pud(): hangs a whole table in at the new place; false when that cannot be. */
function* moveTable(move: Move, level: number, oldAt: number, newAt: number): Path<boolean> {
  const { k, cpu, mm, clearUffdWp } = move;
  if (clearUffdWp) return false;
  const oldp = yield step("pXd_offset", () => k.tables.find(k.mms.pgd(mm), level, oldAt));
  if (oldp === 0) return false;
  const newp = yield step("alloc_new_pXd", () => k.tables.findOrCreate(k.mms.pgd(mm), level, newAt));
  const locks = yield* rmapLocks(move);
  yield* lockBoth(k, oldp, newp);
  const moved = yield step("pXd_populate", () => {
    const entry = k.tables.get(oldp);
    if (!pteTable(entry) || !pteNone(k.tables.get(newp))) return 0;
    k.tables.set(oldp, 0);
    k.tables.set(newp, entry);
    return 1;
  });
  if (moved !== 0) yield* flushTlbRange(k, cpu, mm, oldAt, oldAt + k.tables.span[level]!);
  yield* unlockBoth(k, oldp, newp);
  yield* dropRmapLocks(k, locks);
  return moved !== 0;
}

/** move_huge_pmd(). */
function* moveHugePmd(move: Move, oldAt: number, newAt: number): Path<boolean> {
  const { k, cpu, mm, needRmapLocks } = move;
  const oldp = yield step("pmd_offset", () => k.tables.find(k.mms.pgd(mm), PMD_LEVEL, oldAt));
  const newp = yield step("alloc_new_pmd", () => k.tables.findOrCreate(k.mms.pgd(mm), PMD_LEVEL, newAt));
  const locks = needRmapLocks ? yield* rmapLocks(move) : undefined;
  yield* lockBoth(k, oldp, newp);
  const moved = yield step("move_huge_pmd", () => {
    const pmd = k.tables.get(oldp);
    if (pteNone(pmd) || pteTable(pmd) || !pteNone(k.tables.get(newp))) return NONE_LEFT;
    k.tables.set(oldp, 0);
    k.tables.set(newp, movedEntry(move, pmd));
    return ptePresent(pmd) ? 1 : 0;
  });
  if (moved > 0) yield* flushPmdTlbRange(k, cpu, mm, oldAt, oldAt + k.tables.hugePages);
  yield* unlockBoth(k, oldp, newp);
  if (locks !== undefined) yield* dropRmapLocks(k, locks);
  return moved !== NONE_LEFT;
}

/** The entry at its new place: soft-dirty, so that a tracker notices the move; without a protection that stays behind. */
function movedEntry({ k, clearUffdWp }: Move, pte: Pte): Pte {
  let entry = pte;
  if (clearUffdWp) entry &= ~PTE_UFFD_WP;
  const tracked =
    k.config.softDirty && k.arch.softDirty && (ptePresent(entry) || (isSwapPte(entry) && !isPteMarker(entry)));
  return tracked ? entry | PTE_SOFT_DIRTY : entry;
}

/**
 * mremap_folio_pte_batch(): entries of one folio that move together (since v6.17), if the first is part of a folded block. Inside a
 * step.
 */
function foldedRun(k: Kernel, ptep: Ptep, most: number): number {
  return since(k.profile, 6, 17) && pteValidCont(k.tables.get(ptep)) ? folioPteBatch(k, ptep, most) : 1;
}

/** get_and_clear_full_ptes() and set_ptes(): only blocks that do not move whole are unfolded. */
function* moveRun(move: Move, oldAt: number, oldp: Ptep, newAt: number, newp: Ptep, run: number): Path {
  const { k, cpu, mm } = move;
  yield* contpteTryUnfoldPartial(k, cpu, mm, oldAt, oldp, run);
  const entry = yield step("get_and_clear_full_ptes", () => movedEntry(move, takeRun(k, oldp, run)));
  yield* setPtes(k, cpu, mm, newAt, newp, entry, run);
}

/** move_ptes(): entry by entry, flushed before the locks are dropped if any was present. */
function* movePtes(move: Move, oldAt: number, newAt: number, extent: number): Path {
  const { k, cpu, mm, needRmapLocks, clearUffdWp } = move;
  const locks = needRmapLocks ? yield* rmapLocks(move) : undefined;
  const oldp = yield step("pte_offset_map_lock", () => {
    const pmdp = k.tables.find(k.mms.pgd(mm), PMD_LEVEL, oldAt);
    return pteTable(k.tables.get(pmdp)) ? k.tables.find(k.mms.pgd(mm), PTE_LEVEL, oldAt) : 0;
  });
  if (oldp !== 0) {
    const newp = yield step("pte_alloc", () => k.tables.findOrCreate(k.mms.pgd(mm), PTE_LEVEL, newAt));
    yield* lockBoth(k, oldp, newp);
    yield* flushTlbBatchedPending(k, cpu, mm);
    let present = false;
    for (let i = 0; i < extent;) {
      const first = i;
      const next = yield step("move_ptes", () => {
        for (let at = first; at < extent; at++) if (!pteNone(k.tables.get(oldp + at))) return at;
        return NONE_LEFT;
      });
      if (next === NONE_LEFT) break;
      const run = yield step("mremap_folio_pte_batch", () => foldedRun(k, oldp + next, extent - next));
      if (run > 1) {
        yield* moveRun(move, oldAt + next, oldp + next, newAt + next, newp + next, run);
        present = true;
        i = next + run;
        continue;
      }
      yield* contpteTryUnfold(k, cpu, mm, oldAt + next, oldp + next);
      const pte = yield step("ptep_get_and_clear, set_pte_at", () => {
        const entry = k.tables.get(oldp + next);
        k.tables.set(oldp + next, 0);
        const dropped = clearUffdWp && isPteMarker(entry) && swpType(entry) === SWP_MARKER_UFFD_WP;
        if (!dropped) k.tables.set(newp + next, movedEntry(move, entry));
        return entry;
      });
      if (ptePresent(pte)) present = true;
      i = next + 1;
    }
    if (present) yield* flushTlbRange(k, cpu, mm, oldAt, oldAt + extent);
    yield* unlockBoth(k, oldp, newp);
  }
  if (locks !== undefined) yield* dropRmapLocks(k, locks);
}
