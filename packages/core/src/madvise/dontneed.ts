import { type Path, step } from "@mmu-notifier/steps";
import { EINVAL } from "../errno.js";
import type { Kernel } from "../kernel.js";
import { since } from "../kernel-profile.js";
import type { MmuGather } from "../tlb/mmu-gather.js";
import { ZAP_DONTNEED } from "../unmap/zap-details.js";
import { zapPageRangeSingle, zapPageRangeSingleBatched } from "../unmap/zap-single.js";
import { VM_HUGETLB, VM_LOCKED, VM_PFNMAP } from "../vma.js";
import { madviseFree } from "./free.js";
import { MADV_DONTNEED, MADV_DONTNEED_LOCKED, MADV_FREE } from "./advice.js";

/**
 * madvise_dontneed_free(): MADV_DONTNEED, MADV_DONTNEED_LOCKED and MADV_FREE of pages [start, end) of `vma`, mmap_lock held for
 * reading.
 *
 * @param tlb collects the flushes of several ranges (process_madvise since v6.16)
 * @returns 0 or -errno
 */
export function* madviseDontneedFree(
  k: Kernel,
  cpu: number,
  vma: number,
  start: number,
  asked: number,
  advice: number,
  tlb: MmuGather | undefined,
): Path<number> {
  const end = yield step("madvise_dontneed_free_valid_vma", () => validEnd(k, vma, start, asked, advice));
  if (end < 0) return end;
  if (start === end) return 0;
  if (advice === MADV_FREE) return yield* madviseFree(k, cpu, vma, start, end, tlb);
  if (tlb !== undefined) yield* zapPageRangeSingleBatched(k, cpu, tlb, vma, start, end, ZAP_DONTNEED);
  else yield* zapPageRangeSingle(k, cpu, vma, start, end, ZAP_DONTNEED);
  return 0;
}

/** Where the range may end, or -EINVAL: hugetlb takes whole pages and rounds the end down. */
function validEnd(k: Kernel, vma: number, start: number, end: number, advice: number): number {
  const flags = k.vmas.flags(vma);
  if ((flags & VM_HUGETLB) === 0) {
    const forbidden = VM_PFNMAP | (advice === MADV_DONTNEED_LOCKED ? 0 : VM_LOCKED);
    return (flags & forbidden) !== 0 ? -EINVAL : end;
  }
  if (!since(k.profile, 5, 18)) return -EINVAL;
  if (advice !== MADV_DONTNEED && advice !== MADV_DONTNEED_LOCKED) return -EINVAL;
  const span = k.tables.hugePages;
  if (start % span !== 0) return -EINVAL;
  return since(k.profile, 6, 0) ? end - (end % span) : Math.ceil(end / span) * span;
}
