import { call, type Path, step } from "@mmu-notifier/steps";
import { PAGE_SIZE } from "../geometry.js";
import { unmapHugepageRange } from "../hugetlb/unmap-hugetlb.js";
import type { Kernel } from "../kernel.js";
import type { MmuGather } from "../tlb/mmu-gather.js";
import { VM_HUGETLB } from "../vma.js";
import type { ZapDetails } from "./zap-details.js";
import { ZAP_UNMAP } from "./zap-details.js";
import { unmapPageRange } from "./zap-range.js";

const ULONG_MAX = 2 ** 64;

/**
 * unmap_vmas(): one notification for all of [start, end), holes included, and the entries of each of `vmas` in it go. They are
 * in no list any more, or the mm is exiting.
 *
 * @param end page after the last, Infinity for the end of the address space
 */
export function unmapVmas(
  k: Kernel,
  cpu: number,
  tlb: MmuGather,
  vmas: readonly number[],
  start: number,
  end: number,
): Path {
  return call("unmap_vmas", unmap(k, cpu, tlb, vmas, start, end));
}

function* unmap(k: Kernel, cpu: number, tlb: MmuGather, vmas: readonly number[], start: number, end: number): Path {
  const range = {
    mm: tlb.mm,
    start: start * PAGE_SIZE,
    end: end === Infinity ? ULONG_MAX : end * PAGE_SIZE,
    event: "MMU_NOTIFY_UNMAP",
  } as const;
  yield* k.bus.invalidateRangeStart(range);
  for (const vma of vmas) yield* unmapSingleVma(k, cpu, tlb, vma, start, end, ZAP_UNMAP);
  yield* k.bus.invalidateRangeEnd(range);
}

/** unmap_single_vma(): the part of [start, end) that `vma` covers. */
export function* unmapSingleVma(
  k: Kernel,
  cpu: number,
  tlb: MmuGather,
  vma: number,
  start: number,
  end: number,
  details: ZapDetails,
): Path {
  const from = yield step("vma->vm_start", () => Math.max(start, k.vmas.start(vma)));
  const to = yield step("vma->vm_end", () => Math.min(end, k.vmas.end(vma)));
  if (from >= to) return;
  const hugetlb = yield step("is_vm_hugetlb_page", () => (k.vmas.has(vma, VM_HUGETLB) ? 1 : 0));
  if (hugetlb !== 0) yield* unmapHugepageRange(k, tlb, vma, from, to, details.dropMarkers);
  else yield* unmapPageRange(k, cpu, tlb, vma, from, to, details);
}
