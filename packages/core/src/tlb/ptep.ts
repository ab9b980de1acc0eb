import { NO_STEPS, type Path, step, type Step, stepAt } from "@mmu-notifier/steps";
import { PAGE_SIZE } from "../geometry.js";
import type { Kernel } from "../kernel.js";
import { since } from "../kernel-profile.js";
import type { Ptep } from "../page-table.js";
import {
  type Pte,
  PTE_CONT,
  PTE_HUGE,
  PTE_PROTNONE,
  PTE_VALID,
  pteMkold,
  ptePfn,
  ptePresent,
  pteYoung,
} from "../pte.js";
import { CONT_PTES, contpteTestAndClearYoung, contpteTryUnfold, hasContpte, pteValidCont } from "./contpte.js";
import { flushPmdTlbRange, flushTlbPage, flushTlbPageNosync, flushTlbRange } from "./flush.js";

export {
  flushTlbFixSpuriousFault,
  gainedWrite,
  ptepSetAccessFlags,
  SAF_CHANGED,
  SAF_GAINED,
  type SetAccessFlagsOptions,
  updateMmuCache,
} from "./set-access-flags.js";

/** set_pte_at(), set_pmd_at(): stores an entry, without the contiguous hint that it may have been read with. */
export function setPteAt(k: Kernel, _mm: number, vpn: number, ptep: Ptep, pte: Pte): Step {
  const entry = ptePresent(pte) ? pte & ~PTE_CONT : pte;
  return stepAt("set_pte_at", vpn, () => {
    k.tables.set(ptep, entry);
    return 0;
  });
}

/** ptep_get_and_clear(): takes an entry away in one go and returns it, with what hardware had set until then. */
export function ptepGetAndClear(k: Kernel, ptep: Ptep): Step {
  return step("ptep_get_and_clear", () => {
    const before = k.tables.get(ptep);
    k.tables.set(ptep, 0);
    return before;
  });
}

/**
 * pte_accessible(): some TLB may hold the translation. A PROT_NONE entry counts while a gather in this mm has changed entries
 * and not flushed yet.
 */
export function* pteAccessible(k: Kernel, mm: number, pte: Pte): Path<boolean> {
  if ((pte & PTE_VALID) !== 0) return true;
  if (!ptePresent(pte)) return false;
  return (yield step("mm_tlb_flush_pending", () => (k.mms.tlbFlushPending(mm) > 0 ? 1 : 0))) !== 0;
}

/** ptep_clear_flush(): clears the entry and flushes its page if a TLB may hold it; returns the old entry. Called under the PTL. */
export function* ptepClearFlush(k: Kernel, cpu: number, mm: number, vpn: number, ptep: Ptep): Path<Pte> {
  yield* contpteTryUnfold(k, cpu, mm, vpn, ptep);
  const before = yield ptepGetAndClear(k, ptep);
  if (yield* pteAccessible(k, mm, before)) yield* flushTlbPage(k, cpu, mm, vpn);
  return before;
}

/**
 * ptep_clear_flush_notify(): in kernels with the invalidate_range hook, tells it the page under the PTL; elsewhere plain {@link
 * ptepClearFlush}.
 */
export function* ptepClearFlushNotify(k: Kernel, cpu: number, mm: number, vpn: number, ptep: Ptep): Path<Pte> {
  const before = yield* ptepClearFlush(k, cpu, mm, vpn, ptep);
  yield* notifyUnderPtl(k, mm, vpn, 1);
  return before;
}

/** The hook that callers under a PTL call themselves up to v6.5. */
export function notifyUnderPtl(k: Kernel, mm: number, vpn: number, pages: number): Path {
  if (k.profile.hook !== "invalidate_range") return NO_STEPS;
  return k.bus.invalidateRange(mm, vpn * PAGE_SIZE, (vpn + pages) * PAGE_SIZE);
}

/** huge_ptep_clear_flush(): clears a hugetlb entry and flushes it; returns it. What the hook is told is one base page or the leaf. */
export function* hugePtepClearFlush(k: Kernel, cpu: number, mm: number, vpn: number, ptep: Ptep): Path<Pte> {
  const start = hugeStart(k, vpn);
  if (!k.arch.arm64 || k.profile.arm64HugetlbClearFlushSpan === "page") {
    return yield* ptepClearFlush(k, cpu, mm, start, ptep);
  }
  const before = yield ptepGetAndClear(k, ptep);
  yield* flushTlbRange(k, cpu, mm, start, start + k.tables.hugePages, {
    stridePages: k.tables.hugePages,
    lastLevel: true,
  });
  return before;
}

/**
 * ptep_modify_prot_start(): takes the entry out so that hardware cannot change it meanwhile; returns it. The entry is none
 * until {@link ptepModifyProtCommit}, and a walker can see that.
 */
export function ptepModifyProtStart(k: Kernel, ptep: Ptep): Step {
  return ptepGetAndClear(k, ptep);
}

/** ptep_modify_prot_commit(): puts the changed entry in. */
export function ptepModifyProtCommit(k: Kernel, mm: number, vpn: number, ptep: Ptep, pte: Pte): Step {
  return setPteAt(k, mm, vpn, ptep, pte);
}

/** ptep_set_wrprotect(): takes the write right away and keeps what hardware wrote; returns the old entry. Flushes nothing. */
export function ptepSetWrprotect(k: Kernel, ptep: Ptep): Step {
  return step("ptep_set_wrprotect", () => {
    const before = k.tables.get(ptep);
    k.tables.set(ptep, k.pte.wrprotect(before));
    return before;
  });
}

/**
 * ptep_test_and_clear_young(): makes an entry old; of a folded block, all entries. Flushes nothing.
 *
 * @returns 0 if it was not young, 1 if it was, 2 if a folded block was
 */
export function ptepTestAndClearYoung(k: Kernel, vpn: number, ptep: Ptep): Step {
  return step("ptep_test_and_clear_young", () => {
    const before = k.tables.get(ptep);
    if (hasContpte(k) && pteValidCont(before)) return 2 * contpteTestAndClearYoung(k, vpn, ptep);
    if (!pteYoung(before)) return 0;
    k.tables.set(ptep, pteMkold(before));
    return 1;
  });
}

/**
 * ptep_clear_flush_young(): as {@link ptepTestAndClearYoung}, and flushes: not on x86, without waiting on arm64. Returns 1 if it
 * was young.
 */
export function* ptepClearFlushYoung(k: Kernel, cpu: number, mm: number, vpn: number, ptep: Ptep): Path<number> {
  const young = yield ptepTestAndClearYoung(k, vpn, ptep);
  if (young === 0) return 0;
  const folded = young === 2;
  switch (k.arch.clearFlushYoung) {
    case "none":
      break;
    case "nosync":
      yield* flushTlbPageNosync(k, cpu, mm, folded ? vpn - (vpn % CONT_PTES) : vpn, folded ? CONT_PTES : 1);
      break;
    case "flush-page":
      yield* flushTlbPage(k, cpu, mm, vpn);
      break;
  }
  return 1;
}

/** ptep_clear_flush_young_notify(): asks secondary MMUs as well; 1 if any saw an access. */
export function* ptepClearFlushYoungNotify(
  k: Kernel,
  cpu: number,
  mm: number,
  vpn: number,
  ptep: Ptep,
  pages = 1,
): Path<number> {
  const young = yield* ptepClearFlushYoung(k, cpu, mm, vpn, ptep);
  const secondary = yield* k.bus.clearFlushYoung(mm, vpn * PAGE_SIZE, (vpn + pages) * PAGE_SIZE);
  return young !== 0 || secondary !== 0 ? 1 : 0;
}

/** pmdp_invalidate(): makes a huge entry not present to hardware, keeps what it is to software, flushes; returns the old entry. */
export function* pmdpInvalidate(k: Kernel, cpu: number, mm: number, vpn: number, pmdp: Ptep): Path<Pte> {
  const before = yield invalidateEntry(k, pmdp);
  yield* flushHuge(k, cpu, mm, vpn);
  return before;
}

/** pmdp_invalidate_ad(): as {@link pmdpInvalidate}; x86 does not flush, since hardware no longer changes an entry that is not present. */
export function* pmdpInvalidateAd(k: Kernel, cpu: number, mm: number, vpn: number, pmdp: Ptep): Path<Pte> {
  if (k.arch.writeEncoding !== "direct" || !since(k.profile, 5, 19))
    return yield* pmdpInvalidate(k, cpu, mm, vpn, pmdp);
  return yield invalidateEntry(k, pmdp);
}

function invalidateEntry(k: Kernel, pmdp: Ptep): Step {
  return step("pmdp_establish(pmd_mkinvalid)", () => {
    const entry = k.tables.get(pmdp);
    k.tables.set(pmdp, (entry & ~PTE_VALID) | PTE_PROTNONE);
    return entry;
  });
}

/** pmdp_huge_clear_flush(): clears a huge entry and flushes all it mapped; returns it. */
export function* pmdpHugeClearFlush(k: Kernel, cpu: number, mm: number, vpn: number, pmdp: Ptep): Path<Pte> {
  const before = yield ptepGetAndClear(k, pmdp);
  yield* flushHuge(k, cpu, mm, vpn);
  return before;
}

/** pmdp_huge_clear_flush_notify(): with the invalidate_range hook under the PTL where there is one. */
export function* pmdpHugeClearFlushNotify(k: Kernel, cpu: number, mm: number, vpn: number, pmdp: Ptep): Path<Pte> {
  const before = yield* pmdpHugeClearFlush(k, cpu, mm, vpn, pmdp);
  yield* notifyUnderPtl(k, mm, hugeStart(k, vpn), k.tables.hugePages);
  return before;
}

/** pmdp_collapse_flush(): takes a page table out of the tree and flushes walk caches too; returns the old entry. */
export function* pmdpCollapseFlush(k: Kernel, cpu: number, mm: number, vpn: number, pmdp: Ptep): Path<Pte> {
  const before = yield ptepGetAndClear(k, pmdp);
  const start = hugeStart(k, vpn);
  yield* flushTlbRange(k, cpu, mm, start, start + k.tables.hugePages);
  return before;
}

function hugeStart(k: Kernel, vpn: number): number {
  return vpn - (vpn % k.tables.hugePages);
}

function flushHuge(k: Kernel, cpu: number, mm: number, vpn: number): Path {
  const start = hugeStart(k, vpn);
  return flushPmdTlbRange(k, cpu, mm, start, start + k.tables.hugePages);
}

/**
 * pte_needs_flush(), huge_pmd_needs_flush(): whether replacing `before` by `after` leaves something in a TLB that must go. Most
 * architectures say yes always; those that look compare the bits, and a right that is gained counts as well.
 */
export function pteNeedsFlush(k: Kernel, before: Pte, after: Pte): boolean {
  const rules = k.arch.needsFlush;
  if (rules === undefined || !since(k.profile, ...rules.since)) return true;
  if ((before & PTE_VALID) === 0) return false;
  if (ptePfn(before) !== ptePfn(after)) return true;
  if (((before ^ after) & rules.onChange) !== 0) return true;
  return (before & ~after & ((before & PTE_HUGE) !== 0 ? rules.onClearHuge : rules.onClear)) !== 0;
}
