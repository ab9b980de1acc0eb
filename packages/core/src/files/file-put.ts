import { folioPut } from "../folio.js";
import { INODE_HUGETLB } from "../file.js";
import type { Kernel } from "../kernel.js";

/** fput(): the last reference to the last open file of an inode evicts its page cache and frees it. Inside a step. */
export function filePut(k: Kernel, file: number): void {
  const inode = k.files.put(file);
  if (inode !== 0) evictInode(k, inode);
}

/** evict(): nobody has the inode open or mapped any more. */
function evictInode(k: Kernel, inode: number): void {
  const length = k.files.cacheLength(inode);
  for (let index = 0; index < length; index++) dropCached(k, inode, index);
  if (k.files.kind(inode) === INODE_HUGETLB) {
    const reserved = k.files.reservedHuge(inode);
    if (reserved > 0) k.hugetlb.account(-reserved);
    k.hugetlb.forgetInode(inode);
  }
  k.files.freeInode(inode);
}

/** delete_from_page_cache() of what slot `index` holds, a frame or a swapped-out shmem page. Inside a step. */
export function dropCached(k: Kernel, inode: number, index: number): void {
  const entry = k.files.cached(inode, index);
  if (entry === 0) return;
  if (entry < 0) {
    k.files.setCached(inode, index, 0);
    k.swap.put(-entry);
    return;
  }
  const head = k.pages.head(entry);
  const pages = k.pages.pages(head);
  const hugetlb = k.files.kind(inode) === INODE_HUGETLB;
  const first = hugetlb ? index : k.pages.index(head);
  for (let i = first; i < first + pages; i++) if (k.pages.head(k.files.cached(inode, i)) === head) k.files.setCached(inode, i, 0);
  k.pages.setMapping(head, 0);
  folioPut(k, head, hugetlb ? 1 : pages);
}
