import type { Kernel } from "../kernel.js";
import { VM_MAYSHARE } from "../vma.js";

/** How a fault meets the promises that mmap made. All functions are parts of steps; indices of maps are in huge pages. */

/** Huge page of the file that page `vpn` of a hugetlb VMA maps: vma_hugecache_offset(). */
function hugeIndex(k: Kernel, vma: number, vpn: number): number {
  return Math.floor(k.vmas.linearIndex(vma, vpn) / k.tables.hugePages);
}

/** vma_needs_reservation(): whether allocating the page of `vpn` is not covered by a promise. */
export function vmaNeedsReservation(k: Kernel, vma: number, vpn: number): boolean {
  const index = hugeIndex(k, vma, vpn);
  if (k.vmas.has(vma, VM_MAYSHARE)) return !k.hugetlb.has(k.hugetlb.mapOfInode(k.files.inode(k.vmas.file(vma))), index);
  const map = k.vmas.private(vma);
  return map === 0 || k.hugetlb.has(map, index);
}

/** vma_commit_reservation(): the promise is used (private) or recorded (shared). */
export function vmaCommitReservation(k: Kernel, vma: number, vpn: number): void {
  const index = hugeIndex(k, vma, vpn);
  if (k.vmas.has(vma, VM_MAYSHARE)) k.hugetlb.add(k.hugetlb.mapOfInode(k.files.inode(k.vmas.file(vma))), index);
  else if (k.vmas.private(vma) !== 0) k.hugetlb.add(k.vmas.private(vma), index);
}
