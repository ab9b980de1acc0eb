import { call, type Path, step } from "@mmu-notifier/steps";
import { PAGE_SIZE } from "../geometry.js";
import type { Kernel } from "../kernel.js";
import { type MmuGather, tlbGatherMmu } from "../tlb/mmu-gather.js";
import { VM_HUGETLB } from "../vma.js";
import { unmapSingleVma } from "./unmap-vmas.js";
import type { ZapDetails } from "./zap-details.js";

/**
 * zap_page_range_single(): takes the entries of pages [start, end) of one VMA that stays away, under one CLEAR notification, and
 * flushes. The VMA may be any mm's; the caller holds what keeps it.
 */
export function zapPageRangeSingle(
  k: Kernel,
  cpu: number,
  vma: number,
  start: number,
  end: number,
  details: ZapDetails,
): Path {
  return call("zap_page_range_single", zap(k, cpu, vma, start, end, details));
}

function* zap(k: Kernel, cpu: number, vma: number, start: number, end: number, details: ZapDetails): Path {
  const mm = yield step("vma->vm_mm", () => k.vmas.mm(vma));
  const tlb = yield* tlbGatherMmu(k, cpu, mm);
  yield* zapPageRangeSingleBatched(k, cpu, tlb, vma, start, end, details);
  yield* tlb.finish();
}

/** zap_page_range_single_batched(): the same into a gather that the caller flushes. */
export function* zapPageRangeSingleBatched(
  k: Kernel,
  cpu: number,
  tlb: MmuGather,
  vma: number,
  start: number,
  end: number,
  details: ZapDetails,
): Path {
  const range = { mm: tlb.mm, start: start * PAGE_SIZE, end: end * PAGE_SIZE, event: "MMU_NOTIFY_CLEAR" } as const;
  yield* k.bus.invalidateRangeStart(range);
  yield* unmapSingleVma(k, cpu, tlb, vma, start, end, details);
  yield* k.bus.invalidateRangeEnd(range);
  // Another fault may want the pages: they are free before hugetlb_zap_end() lets it go on.
  const hugetlb = yield step("is_vm_hugetlb_page", () => (k.vmas.has(vma, VM_HUGETLB) ? 1 : 0));
  if (hugetlb !== 0) yield* tlb.flush();
}
