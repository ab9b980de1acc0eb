import type { Kernel } from "../kernel.js";

/** Levels from which on the upper half of the address space is the kernel's on machines with one tree (x86). */
const FULL_TREE_LEVELS = 4;

/** TASK_SIZE in pages: the end of the address space of user programs. */
export function taskPages(k: Kernel): number {
  const { pages, geometry } = k.tables;
  if (!k.arch.kernelSharesTree || geometry.bits.length < FULL_TREE_LEVELS) return pages;
  return pages / 2 - 1;
}
