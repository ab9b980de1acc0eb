import { type Path, step } from "@mmu-notifier/steps";
import type { Kernel } from "../kernel.js";
import { STICKY, vmaMergeExisting, type VmaShape } from "./merge.js";
import { splitVma } from "./split.js";

/** The shape that `vma` has, for {@link vmaModify} to change part of. */
export function* vmaShape(k: Kernel, vma: number): Path<VmaShape> {
  const flags = yield step("vma->vm_flags", () => k.vmas.flags(vma));
  const policy = yield step("vma_policy", () => k.vmas.policy(vma));
  const uffd = yield step("vma->vm_userfaultfd_ctx", () => k.vmas.uffd(vma));
  const anonName = yield step("anon_vma_name", () => k.vmas.anonName(vma));
  return { flags, policy, uffd, anonName };
}

/** vm_flags_reset() of what {@link vmaModify} returned: a merged VMA keeps the sticky flags of its parts. Inside a step. */
export function resetFlags(k: Kernel, vma: number, flags: number): void {
  k.vmas.setFlags(vma, flags | (k.vmas.flags(vma) & STICKY));
}

/**
 * vma_modify(): makes one VMA out of exactly pages [start, end) of `vma`, by merging with neighbours that have `shape`, or else
 * by splitting. The caller gives the result its new flags. mmap_lock held for writing.
 *
 * @returns the VMA, or -errno
 */
export function* vmaModify(
  k: Kernel,
  cpu: number,
  vma: number,
  start: number,
  end: number,
  shape: VmaShape,
): Path<number> {
  const merged = yield* vmaMergeExisting(k, cpu, vma, start, end, shape);
  if (merged !== 0) return merged;
  const cutsLow = yield step("vma->vm_start < start", () => (k.vmas.start(vma) < start ? 1 : 0));
  if (cutsLow !== 0) {
    const error = yield* splitVma(k, cpu, vma, start, true);
    if (error !== 0) return error;
  }
  const cutsHigh = yield step("vma->vm_end > end", () => (k.vmas.end(vma) > end ? 1 : 0));
  if (cutsHigh !== 0) {
    const error = yield* splitVma(k, cpu, vma, end, false);
    if (error !== 0) return error;
  }
  return vma;
}
