import { INODE_HUGETLB } from "../file.js";
import { folioPut, freeSwapAndCache } from "../folio.js";
import { unreserveHugetlb } from "../hugetlb/reserve.js";
import type { Kernel } from "../kernel.js";

/**
 * fput(): the last reference to the last open file of an inode evicts its page cache and frees it, as the task goes back to its
 * program. Inside a step.
 */
export function filePut(k: Kernel, file: number): void {
  const inode = k.files.put(file);
  if (inode !== 0) evictInode(k, inode);
}

/** evict(): nobody has the inode open or mapped any more. */
function evictInode(k: Kernel, inode: number): void {
  const length = k.files.cacheLength(inode);
  let freed = 0;
  for (let index = 0; index < length; index++) if (dropCached(k, inode, index, true)) freed++;
  if (k.files.kind(inode) === INODE_HUGETLB) {
    unreserveHugetlb(k, inode, 0, Math.ceil(k.files.size(inode) / k.tables.hugePages), freed);
    k.hugetlb.forgetInode(inode);
  }
  k.files.freeInode(inode);
}

/** delete_from_page_cache() of what slot `index` holds, a frame or a swapped-out shmem page; false when it is empty. Inside a step. */
export function dropCached(k: Kernel, inode: number, index: number, late = false): boolean {
  const entry = k.files.cached(inode, index);
  if (entry === 0) return false;
  if (entry < 0) {
    k.files.setCached(inode, index, 0);
    freeSwapAndCache(k, -entry);
    return true;
  }
  const head = k.pages.head(entry);
  // hugetlbfs caches a huge page in one slot with one reference, other file systems every page of a folio.
  const hugetlb = k.files.kind(inode) === INODE_HUGETLB;
  const slots = hugetlb ? 1 : k.pages.pages(head);
  const first = hugetlb ? index : k.pages.index(head);
  for (let i = first; i < first + slots; i++) k.files.setCached(inode, i, 0);
  k.pages.setMapping(head, 0);
  folioPut(k, head, slots, late);
  return true;
}
