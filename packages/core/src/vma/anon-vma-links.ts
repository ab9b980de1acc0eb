import type { Kernel } from "../kernel.js";

/** How VMAs hold on to anon_vmas. All functions are parts of steps. */

/** anon_vma_clone(): `vma`, a fresh copy, refers to the anon_vma that it was copied with. */
export function anonVmaClone(k: Kernel, vma: number): void {
  const anonVma = k.vmas.anonVma(vma);
  if (anonVma !== 0) k.anonVmas.addActiveVmas(anonVma, 1);
}

/** dup_anon_vma(): an expanding VMA takes over the anon_vma of the one whose pages it imports. */
export function dupAnonVma(k: Kernel, dst: number, src: number): void {
  const anonVma = k.vmas.anonVma(src);
  if (anonVma === 0 || k.vmas.anonVma(dst) !== 0) return;
  k.vmas.setAnonVma(dst, anonVma);
  k.anonVmas.addActiveVmas(anonVma, 1);
}

/** anon_vma_fork(): a child's VMA gets an anon_vma of its own below its parent's. */
export function anonVmaFork(k: Kernel, vma: number): void {
  const parent = k.vmas.anonVma(vma);
  if (parent === 0) return;
  const anonVma = k.anonVmas.alloc(parent);
  k.vmas.setAnonVma(vma, anonVma);
  k.anonVmas.addActiveVmas(anonVma, 1);
}

/** unlink_anon_vmas(). */
export function unlinkAnonVmas(k: Kernel, vma: number): void {
  const anonVma = k.vmas.anonVma(vma);
  if (anonVma === 0) return;
  k.vmas.setAnonVma(vma, 0);
  k.anonVmas.addActiveVmas(anonVma, -1);
  k.anonVmas.releaseIfUnused(anonVma);
}

/** The VMA's pages may also belong to an ancestor: its anon_vma was made by a fork. */
export function hasUncowedParents(k: Kernel, vma: number): boolean {
  const anonVma = k.vmas.anonVma(vma);
  return anonVma !== 0 && k.anonVmas.parent(anonVma) !== 0;
}
