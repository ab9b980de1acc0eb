import { ENOMEM } from "../errno.js";
import type { Kernel } from "../kernel.js";
import { VM_MAYSHARE, VM_NORESERVE } from "../vma.js";

/**
 * hugetlb_reserve_pages(): promises the pages of a new mapping. A shared one's promises belong to the inode, a private one's to
 * the VMA. Inside a step.
 *
 * @returns 0 or -ENOMEM
 */
export function reserveHugetlb(k: Kernel, vma: number): number {
  const span = k.tables.hugePages;
  const from = k.vmas.pgoff(vma) / span;
  const to = from + (k.vmas.end(vma) - k.vmas.start(vma)) / span;
  if (!k.vmas.has(vma, VM_MAYSHARE)) {
    if (!k.vmas.has(vma, VM_NORESERVE) && !k.hugetlb.account(to - from)) return -ENOMEM;
    if (!k.vmas.has(vma, VM_NORESERVE)) k.vmas.setPrivate(vma, k.hugetlb.createMap());
    return 0;
  }
  if (k.vmas.has(vma, VM_NORESERVE)) return 0;
  const map = k.hugetlb.mapOfInode(k.files.inode(k.vmas.file(vma)));
  if (!k.hugetlb.account(to - from - k.hugetlb.count(map, from, to))) return -ENOMEM;
  for (let index = from; index < to; index++) k.hugetlb.add(map, index);
  return 0;
}

/** hugetlb_unreserve_pages(): huge pages [from, to) of an inode are gone; `freed` of them had been allocated. Inside a step. */
export function unreserveHugetlb(k: Kernel, inode: number, from: number, to: number, freed: number): void {
  const promised = k.hugetlb.remove(k.hugetlb.mapOfInode(inode), from, to);
  if (promised > freed) k.hugetlb.account(freed - promised);
}
