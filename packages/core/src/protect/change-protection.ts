import { call, inline, NO_STEPS, type Path, spinLock, spinUnlock, step, type Step } from "@mmu-notifier/steps";
import { PAGE_SIZE } from "../geometry.js";
import { splitHugePmd } from "../huge/split-huge-pmd.js";
import { hugetlbChangeProtection } from "../hugetlb/change-protection.js";
import type { Kernel } from "../kernel.js";
import { PMD_LEVEL, PTE_LEVEL, type Ptep, PUD_LEVEL } from "../page-table.js";
import { type Pte, pteNone, ptePresent, pteTable } from "../pte.js";
import { contpteTryFold, contpteTryUnfold } from "../tlb/contpte.js";
import { flushTlbRange } from "../tlb/flush.js";
import { MmuGather, tlbGatherMmu } from "../tlb/mmu-gather.js";
import { pmdpInvalidateAd, pteNeedsFlush, setPteAt } from "../tlb/ptep.js";
import { flushTlbBatchedPending } from "../tlb/unmap-batch.js";
import { nextPopulatedBlock } from "../unmap/zap-range.js";
import { VM_HUGETLB } from "../vma.js";
import { changedEntry, changedNonPresent, touchesEntry, wpUsesMarkers } from "./change-entry.js";
import type { ChangeProtection } from "./change-flags.js";
import { changeRun, folioPteBatch } from "./change-run.js";

const NONE_LEFT = -1;
const PMD_NONE = 0;
const PMD_TABLE = 1;
const PMD_HUGE = 2;

/** The gather of a caller of {@link changeProtection}. Up to v5.17 there was none, and nothing is pending through this one. */
export function* protectionGather(k: Kernel, cpu: number, mm: number): Path<MmuGather> {
  return k.profile.mprotectGathers ? yield* tlbGatherMmu(k, cpu, mm) : new MmuGather(k, cpu, mm, false);
}

/** The flush of what was gathered. */
export function finishProtection(k: Kernel, tlb: MmuGather): Path {
  return k.profile.mprotectGathers ? tlb.finish() : NO_STEPS;
}

/**
 * change_protection(): gives the entries of pages [start, end) of `vma` new rights. The range is announced as PROTECTION_VMA as
 * soon as something populated is met, cut at the borders of the profile's level. What must be flushed goes into `tlb`; older
 * kernels flush the whole range themselves.
 */
export function changeProtection(
  k: Kernel,
  cpu: number,
  tlb: MmuGather,
  vma: number,
  start: number,
  end: number,
  change: ChangeProtection,
): Path<number> {
  return call("change_protection", protect(k, cpu, tlb, vma, start, end, change));
}

function* protect(
  k: Kernel,
  cpu: number,
  tlb: MmuGather,
  vma: number,
  start: number,
  end: number,
  change: ChangeProtection,
): Path<number> {
  if ((change.vmFlags & VM_HUGETLB) !== 0)
    return yield* hugetlbChangeProtection(k, cpu, tlb.mm, vma, start, end, change);
  const populate = change.uffdWp ? yield step("pgtable_populate_needed", () => (wpUsesMarkers(k, vma) ? 1 : 0)) : 0;
  const walk: Walk = { k, cpu, tlb, vma, change, populates: populate !== 0 };
  if (!k.profile.mprotectGathers) yield addPending(k, tlb.mm, 1);
  const { span, pages } = k.tables;
  // A tree without that level has one border, its end.
  const level = k.profile.mprotectRangeLevel === "pud" ? PUD_LEVEL + 1 : PUD_LEVEL;
  const border = span[level] ?? pages;
  let changed = 0;
  for (let at = start; at < end;) {
    const next = Math.min(end, at - (at % border) + border);
    changed += yield* inline(changeBlock(walk, at, next));
    at = next;
  }
  if (k.profile.mprotectGathers) {
    yield* tlb.endVma();
    return changed;
  }
  if (changed > 0) yield* flushTlbRange(k, cpu, tlb.mm, start, end);
  yield addPending(k, tlb.mm, -1);
  return changed;
}

function addPending(k: Kernel, mm: number, by: number): Step {
  return step("mm->tlb_flush_pending", () => {
    k.mms.addTlbFlushPending(mm, by);
    return 0;
  });
}

interface Walk {
  readonly k: Kernel;
  readonly cpu: number;
  readonly tlb: MmuGather;
  readonly vma: number;
  readonly change: ChangeProtection;
  /** Missing tables are made, for markers. */
  readonly populates: boolean;
}

/** change_pud_range() or change_pmd_range() over what lies between two borders: the part that one notification covers. */
function* changeBlock(walk: Walk, start: number, end: number): Path<number> {
  const { k, tlb } = walk;
  const { mm } = tlb;
  const byPud = k.profile.mprotectRangeLevel === "pud";
  let announced: { mm: number; start: number; end: number; event: "MMU_NOTIFY_PROTECTION_VMA" } | undefined;
  let changed = 0;
  const span = k.tables.hugePages;
  for (let at = start; at < end;) {
    const from = at;
    if (walk.populates) {
      yield step("pmd_alloc", () => {
        k.tables.findOrCreate(k.mms.pgd(mm), PTE_LEVEL, from);
        return 0;
      });
    }
    const first = yield step("pud_none_or_clear_bad", () =>
      byPud ? nextPopulatedPud(k, mm, from, end) : nextPopulatedBlock(k, mm, from, end),
    );
    if (first >= end) break;
    if (announced === undefined) {
      announced = { mm, start: first * PAGE_SIZE, end: end * PAGE_SIZE, event: "MMU_NOTIFY_PROTECTION_VMA" };
      yield* k.bus.invalidateRangeStart(announced);
    }
    at = walk.populates ? first : yield step("pmd_none_or_clear_bad", () => nextPopulatedBlock(k, mm, first, end));
    if (at >= end) break;
    const next = Math.min(end, at - (at % span) + span);
    changed += yield* changePmd(walk, at, next);
    at = next;
  }
  if (announced !== undefined) yield* k.bus.invalidateRangeEnd(announced);
  return changed;
}

/** The first page from `from` on below a PUD entry that is not none; `end` when there is none. */
function nextPopulatedPud(k: Kernel, mm: number, from: number, end: number): number {
  const { top, span } = k.tables;
  if (top < PUD_LEVEL) return nextPopulatedBlock(k, mm, from, end);
  const size = span[PUD_LEVEL]!;
  for (let at = from; at < end; at = at - (at % size) + size) {
    const pudp = k.tables.find(k.mms.pgd(mm), PUD_LEVEL, at);
    if (pudp !== 0 && !pteNone(k.tables.get(pudp))) return at;
  }
  return end;
}

function pmdOf(k: Kernel, mm: number, vpn: number): Pte {
  const pmdp = k.tables.find(k.mms.pgd(mm), PMD_LEVEL, vpn);
  return pmdp === 0 ? 0 : k.tables.get(pmdp);
}

/** One PMD entry: a huge one as a whole if the range covers it, else what its table maps. */
function* changePmd(walk: Walk, start: number, end: number): Path<number> {
  const { k, cpu, tlb, vma, change } = walk;
  const { mm } = tlb;
  const what = yield step("pmd_none", () => {
    const pmd = pmdOf(k, mm, start);
    if (pteNone(pmd)) return PMD_NONE;
    return pteTable(pmd) ? PMD_TABLE : PMD_HUGE;
  });
  if (what === PMD_NONE) return 0;
  if (what === PMD_HUGE) {
    // A file's page protected by userfaultfd needs a marker for each base page.
    const splits = end - start !== k.tables.hugePages || (change.uffdWp && change.kind !== 0);
    if (splits) {
      yield* splitHugePmd(k, cpu, vma, start);
      if (walk.populates) {
        yield step("pte_alloc", () => {
          k.tables.findOrCreate(k.mms.pgd(mm), PTE_LEVEL, start);
          return 0;
        });
      }
    } else if (yield* changeHugePmd(walk, start)) return k.tables.hugePages;
  }
  return yield* inline(changePteRange(walk, start, end));
}

/** change_huge_pmd(): false when the entry is not huge any more. */
function* changeHugePmd(walk: Walk, vpn: number): Path<boolean> {
  const { k, cpu, tlb, vma, change } = walk;
  const { mm } = tlb;
  const pmdp = yield step("pmd_offset", () => k.tables.find(k.mms.pgd(mm), PMD_LEVEL, vpn));
  if (pmdp === 0) return false;
  const ptl = k.tables.ptl(k.tables.tableOf(pmdp));
  yield spinLock(ptl);
  const huge = yield step("pmd_trans_huge", () => {
    const pmd = k.tables.get(pmdp);
    if (pteNone(pmd) || pteTable(pmd)) return PMD_NONE;
    if (ptePresent(pmd)) return PMD_HUGE;
    k.tables.set(pmdp, changedNonPresent(k, vma, pmd, change));
    return PMD_TABLE;
  });
  if (huge === PMD_HUGE) {
    const before = yield* pmdpInvalidateAd(k, cpu, mm, vpn, pmdp);
    const after = yield step("pmd_modify", () => changedEntry(k, before, change));
    yield setPteAt(k, mm, vpn, pmdp, after);
    if (k.profile.mprotectGathers && pteNeedsFlush(k, before, after)) tlb.changePage(vpn, k.tables.hugePages);
  }
  yield spinUnlock(ptl);
  return huge !== PMD_NONE;
}

/** change_pte_range(). Each present entry is taken out and put back; a hardware walker can see it missing. */
function* changePteRange(walk: Walk, start: number, end: number): Path<number> {
  const { k, cpu, tlb, vma, change } = walk;
  const { mm } = tlb;
  const first = yield step("pte_offset_map_lock", () =>
    pteTable(pmdOf(k, mm, start)) ? k.tables.find(k.mms.pgd(mm), PTE_LEVEL, start) : 0,
  );
  if (first === 0) return 0;
  const ptl = k.tables.ptl(k.tables.tableOf(first));
  yield spinLock(ptl);
  yield* flushTlbBatchedPending(k, cpu, mm);
  let changed = 0;
  for (let at = start; at < end;) {
    const from = at;
    const offset = yield step("change_pte_range", () => {
      for (let i = from; i < end; i++) if (touchesEntry(k, vma, first + (i - start), change)) return i - from;
      return NONE_LEFT;
    });
    if (offset === NONE_LEFT) break;
    const vpn = from + offset;
    const ptep = first + (vpn - start);
    const run = yield step("mprotect_folio_pte_batch", () =>
      k.profile.mprotectBatches ? folioPteBatch(k, ptep, end - vpn) : 1,
    );
    if (run > 1) yield* changeRun(k, cpu, tlb, change, vpn, ptep, run);
    else yield* changePte(walk, vpn, ptep);
    changed += run;
    at = vpn + run;
  }
  yield spinUnlock(ptl);
  return changed;
}

/** One entry: present ones are missing for a moment. */
function* changePte({ k, cpu, tlb, vma, change }: Walk, vpn: number, ptep: Ptep): Path {
  const { mm } = tlb;
  yield* contpteTryUnfold(k, cpu, mm, vpn, ptep);
  const before = yield step("ptep_modify_prot_start", () => {
    const pte = k.tables.get(ptep);
    if (ptePresent(pte)) k.tables.set(ptep, 0);
    return pte;
  });
  const after = yield step("pte_modify", () =>
    ptePresent(before) ? changedEntry(k, before, change) : changedNonPresent(k, vma, before, change),
  );
  yield setPteAt(k, mm, vpn, ptep, after);
  yield* contpteTryFold(k, cpu, mm, vpn, ptep);
  if (ptePresent(before) && k.profile.mprotectGathers && pteNeedsFlush(k, before, after)) tlb.changePage(vpn);
}
