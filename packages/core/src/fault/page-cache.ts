import { mightSleep, type Path, step } from "@mmu-notifier/steps";
import { INODE_DISK, INODE_SHMEM } from "../file.js";
import type { Kernel } from "../kernel.js";
import { PG_DIRTY, PG_LRU, PG_SWAPBACKED, PG_UPTODATE } from "../page.js";

/** Pages that a read of a disk file brings in around a faulting page: VM_READAHEAD of 128 KiB. */
export const READ_AROUND_PAGES = 32;

/** filemap_get_folio(): the frame that caches page `index` of `inode`, or 0. Inside a step. */
export function filemapGet(k: Kernel, inode: number, index: number): number {
  const slot = k.files.cached(inode, index);
  return slot > 0 ? slot : 0;
}

/** filemap_add_folio(): puts a fresh order-0 frame into the cache, which takes over its reference. Inside a step. */
export function filemapAdd(k: Kernel, inode: number, index: number, pfn: number): void {
  k.pages.setMapping(pfn, inode);
  k.pages.setIndex(pfn, index);
  k.pages.mark(pfn, PG_UPTODATE | PG_LRU | (k.files.kind(inode) === INODE_SHMEM ? PG_SWAPBACKED : 0));
  k.files.setCached(inode, index, pfn);
}

/** Reads page `index` of a disk file into the cache if it is not there. Inside a step. */
export function readPage(k: Kernel, inode: number, index: number): void {
  if (index >= k.files.size(inode) || filemapGet(k, inode, index) !== 0) return;
  const pfn = k.pages.alloc();
  k.pages.setContent(pfn, k.files.stored(inode, index));
  filemapAdd(k, inode, index, pfn);
}

/** do_sync_mmap_readahead(): reads the page and, unless `single`, those around it. May sleep. */
export function* readAround(k: Kernel, inode: number, index: number, single: boolean): Path {
  yield mightSleep("page_cache_ra_order");
  yield step("page_cache_ra_order", () => {
    const from = single ? index : Math.max(0, index - READ_AROUND_PAGES / 2);
    const to = single ? index + 1 : from + READ_AROUND_PAGES;
    for (let at = from; at < to; at++) readPage(k, inode, at);
    return 0;
  });
}

/**
 * shmem_get_folio(SGP_CACHE): the frame of page `index`, filling a hole with a zeroed page and reading a swapped-out one back.
 * The result is positive for a page that was there, negative when it had to be read from swap. Inside a step.
 */
export function shmemGetPage(k: Kernel, inode: number, index: number): number {
  const slot = k.files.cached(inode, index);
  if (slot > 0) return slot;
  const pfn = slot < 0 && k.swap.cached(-slot) !== 0 ? k.swap.cached(-slot) : k.pages.alloc();
  if (slot < 0) {
    k.pages.setContent(pfn, k.swap.content(-slot));
    k.pages.mark(pfn, PG_DIRTY);
    k.swap.put(-slot);
  }
  filemapAdd(k, inode, index, pfn);
  return slot < 0 ? -pfn : pfn;
}

/** True when the inode's pages come from a disk and can be written back to it. Inside a step. */
export function hasBackingStore(k: Kernel, inode: number): boolean {
  return k.files.kind(inode) === INODE_DISK;
}
