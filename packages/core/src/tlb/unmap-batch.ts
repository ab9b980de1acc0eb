import { ULONG_MAX } from "@mmu-notifier/bus";
import { NO_STEPS, type Path, step } from "@mmu-notifier/steps";
import { PAGE_SHIFT } from "../geometry.js";
import type { Kernel } from "../kernel.js";
import { since } from "../kernel-profile.js";
import type { Pte } from "../pte.js";
import { archFlushNotifies, flushBarrier, flushTlbMm, flushTlbPageNosync } from "./flush.js";
import { pteAccessible } from "./ptep.js";

/**
 * Flushes that one task has put off while it unmaps pages for reclaim or migration: struct tlbflush_unmap_batch. Like a gather
 * it belongs to one path.
 *
 * @public
 */
export class TlbUnmapBatch {
  /** Address spaces with entries that were cleared and not flushed. */
  readonly mms = new Set<number>();
  /** A dirty entry was among them: the flush must happen before the page is written out. */
  writable = false;
}

/** should_defer_flush(): whether the flush of an entry of `mm` may wait for {@link tryToUnmapFlush}. */
export function* shouldDeferFlush(k: Kernel, cpu: number, mm: number): Path<boolean> {
  const { batching, batchingSince } = k.arch.flush;
  if (batching === "never" || !since(k.profile, ...batchingSince)) return false;
  if (batching === "always") return true;
  if (k.config.cpus === 1) return false;
  return (yield step("arch_tlbbatch_should_defer", () => ((k.mms.cpumask(mm) & ~(1 << cpu)) !== 0 ? 1 : 0))) !== 0;
}

/**
 * set_tlb_ubc_flush_pending(): puts off the flush of entries of `pages` pages from `vpn`, of which `before` was the old one.
 * arm64 issues it and skips the wait; x86 remembers the mm and tells the hook that everything goes.
 */
export function* setTlbUbcFlushPending(
  k: Kernel,
  cpu: number,
  mm: number,
  batch: TlbUnmapBatch,
  before: Pte,
  vpn: number,
  pages = 1,
): Path {
  if (!(yield* pteAccessible(k, mm, before))) return;
  if (k.arch.flush.scope === "cpus") {
    if (archFlushNotifies(k)) yield* k.bus.invalidateRange(mm, 0, ULONG_MAX);
  } else {
    yield* flushTlbPageNosync(k, cpu, mm, vpn, pages);
  }
  batch.mms.add(mm);
  if (k.pte.dirty(before)) batch.writable = true;
  yield step("mm->tlb_flush_batched", () => {
    k.mms.setTlbFlushBatched(mm, true);
    return 0;
  });
}

/** try_to_unmap_flush(): completes what was put off. The mark in the mm stays until {@link flushTlbBatchedPending}. */
export function* tryToUnmapFlush(k: Kernel, cpu: number, batch: TlbUnmapBatch): Path {
  if (batch.mms.size === 0) return;
  const mms = [...batch.mms];
  batch.mms.clear();
  batch.writable = false;
  if (k.arch.flush.scope !== "cpus") {
    yield flushBarrier(k);
    return;
  }
  yield step("arch_tlbbatch_flush", () => {
    for (const mm of mms) {
      for (let at = 0; at < k.config.cpus; at++) k.tlbs.invalidate(at, k.mms.asid(mm), 0, Infinity);
      if (!k.observed) continue;
      k.emit({
        kind: "tlb-flush",
        mm,
        start: 0,
        end: Infinity,
        pages: -1,
        strideShift: PAGE_SHIFT,
        scope: "cpus",
        lastLevelOnly: true,
      });
    }
    return 0;
  });
}

/** try_to_unmap_flush_dirty(): only if a dirty entry was put off. */
export function tryToUnmapFlushDirty(k: Kernel, cpu: number, batch: TlbUnmapBatch): Path {
  return batch.writable ? tryToUnmapFlush(k, cpu, batch) : NO_STEPS;
}

/**
 * flush_tlb_batched_pending(): a walker that relies on "not present means not in a TLB" flushes the whole mm if reclaim has put
 * flushes off since the last such walk. Called under the PTL.
 */
export function* flushTlbBatchedPending(k: Kernel, cpu: number, mm: number): Path {
  const { batching, batchingSince } = k.arch.flush;
  if (batching === "never" || !since(k.profile, ...batchingSince) || (batching === "other-cpus" && k.config.cpus === 1))
    return;
  const pending = yield step("flush_tlb_batched_pending", () => (k.mms.tlbFlushBatched(mm) ? 1 : 0));
  if (pending === 0) return;
  yield* flushTlbMm(k, cpu, mm);
  yield step("mm->tlb_flush_batched", () => {
    k.mms.setTlbFlushBatched(mm, false);
    return 0;
  });
}

/** The same after a walker of madvise() has dropped the PTL to split a folio, which puts flushes off: since v6.12.y. */
export function flushAfterSplit(k: Kernel, cpu: number, mm: number): Path {
  return since(k.profile, 6, 12) ? flushTlbBatchedPending(k, cpu, mm) : NO_STEPS;
}
