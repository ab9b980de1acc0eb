import type { Kernel } from "../kernel.js";

/** How VMAs hold on to anon_vmas. All functions are parts of steps. */

/** anon_vma_chain_link(): `vma` is found through its anon_vma from now on. */
export function anonVmaChainLink(k: Kernel, vma: number): void {
  const anonVma = k.vmas.anonVma(vma);
  k.anonVmas.addActiveVmas(anonVma, 1);
  k.anonVmas.mappings.insert(k.anonVmas.rbRoot(anonVma), vma);
}

/** anon_vma_interval_tree_pre_update_vma() and its post_update: the place among equals changes with the range. */
export function anonVmaTreeUpdate(k: Kernel, vma: number): void {
  const anonVma = k.vmas.anonVma(vma);
  if (anonVma === 0) return;
  const tree = k.anonVmas.rbRoot(anonVma);
  k.anonVmas.mappings.remove(tree, vma);
  k.anonVmas.mappings.insert(tree, vma);
}

/** anon_vma_clone(): `vma`, a fresh copy, refers to the anon_vma that it was copied with. */
export function anonVmaClone(k: Kernel, vma: number): void {
  const anonVma = k.vmas.anonVma(vma);
  if (anonVma !== 0) anonVmaChainLink(k, vma);
}

/** dup_anon_vma(): an expanding VMA takes over the anon_vma of the one whose pages it imports. */
export function dupAnonVma(k: Kernel, dst: number, src: number): void {
  const anonVma = k.vmas.anonVma(src);
  if (anonVma === 0 || k.vmas.anonVma(dst) !== 0) return;
  k.vmas.setAnonVma(dst, anonVma);
  anonVmaChainLink(k, dst);
}

/** anon_vma_fork(): a child's VMA gets an anon_vma of its own below its parent's. */
export function anonVmaFork(k: Kernel, vma: number): void {
  const parent = k.vmas.anonVma(vma);
  if (parent === 0) return;
  const anonVma = k.anonVmas.alloc(parent);
  k.vmas.setAnonVma(vma, anonVma);
  anonVmaChainLink(k, vma);
}

/** unlink_anon_vmas(). */
export function unlinkAnonVmas(k: Kernel, vma: number): void {
  const anonVma = k.vmas.anonVma(vma);
  if (anonVma === 0) return;
  k.anonVmas.mappings.remove(k.anonVmas.rbRoot(anonVma), vma);
  k.vmas.setAnonVma(vma, 0);
  k.anonVmas.addActiveVmas(anonVma, -1);
  k.anonVmas.releaseIfUnused(anonVma);
}

/** The VMA's pages may also belong to an ancestor: its anon_vma was made by a fork. */
export function hasUncowedParents(k: Kernel, vma: number): boolean {
  const anonVma = k.vmas.anonVma(vma);
  return anonVma !== 0 && k.anonVmas.parent(anonVma) !== 0;
}

/**
 * anon_vma_interval_tree_foreach(), one step: the VMA that may hold pages of `anonVma` behind `after` (0: the first) that `suits`;
 * 0 for none.
 */
export function nextAnonVma(k: Kernel, anonVma: number, after: number, suits: (vma: number) => boolean): number {
  return k.anonVmas.mappings.next(
    k.anonVmas.rbRoot(anonVma),
    after,
    (vma) => k.vmas.pgoff(vma),
    (vma) => k.anonVmas.covers(anonVma, k.vmas.anonVma(vma)) && suits(vma),
  );
}
