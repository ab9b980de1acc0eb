import { INODE_SHMEM } from "../file.js";
import { deleteFromSwapCache } from "../folio-swap.js";
import { hugeOrder } from "../huge/huge-zero.js";
import type { Kernel } from "../kernel.js";
import { PG_DIRTY, PG_LRU, PG_SWAPBACKED, PG_UPTODATE } from "../page.js";

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

/**
 * Reads page `index` of a disk file into the cache if it is not there. Inside a step.
 *
 * @param ahead nobody waits for it
 */
export function readPage(k: Kernel, inode: number, index: number, ahead = false): void {
  if (index >= k.files.size(inode) || filemapGet(k, inode, index) !== 0) return;
  const { diskFolioOrder } = k.config;
  if (diskFolioOrder !== "readahead" && diskFolioOrder >= hugeOrder(k) && readHugeFolio(k, inode, index)) return;
  const pfn = k.pages.alloc();
  filemapAdd(k, inode, index, pfn);
  readContent(k, inode, pfn, ahead);
}

/** ra_alloc_folio(): a folio of 2^order pages at `index`, read ahead; false when something is cached there. Inside a step. */
export function readFolio(k: Kernel, inode: number, index: number, order: number): boolean {
  if (!addFolio(k, inode, index, order)) return false;
  readContent(k, inode, k.files.cached(inode, index), true);
  return true;
}

/**
 * ext4_mpage_readpages(): what the disk has of a folio is on its way, unless somebody waits for it. A folio without a block is zeroes
 * at once.
 */
function readContent(k: Kernel, inode: number, head: number, ahead: boolean): void {
  const pages = k.pages.pages(head);
  const index = k.pages.index(head);
  let onDisk = false;
  for (let i = 0; i < pages; i++) {
    const content = k.files.stored(inode, index + i);
    k.pages.setContent(head + i, content);
    onDisk ||= content !== 0;
  }
  if (ahead && onDisk) k.diskReads.submit(k.pages, head);
}

/**
 * shmem_get_folio(SGP_CACHE): the frame of page `index`, filling a hole with a zeroed page, a huge one if `huge` and all of its
 * block is a hole, and reading a swapped-out page back. Inside a step.
 */
export function shmemGetPage(k: Kernel, inode: number, index: number, huge = false): number {
  const slot = k.files.cached(inode, index);
  if (slot > 0) return slot;
  if (slot === 0 && huge && addHugePage(k, inode, index)) return k.files.cached(inode, index);
  const pfn = slot < 0 ? shmemSwapin(k, -slot) : k.pages.alloc();
  filemapAdd(k, inode, index, pfn);
  return pfn;
}

/** shmem_swapin_folio(): the page of a slot, from the swap cache or read anew, with the reference of the page cache that it goes to. */
function shmemSwapin(k: Kernel, slot: number): number {
  const cached = k.swap.cached(slot);
  const pfn = cached === 0 ? k.pages.alloc() : cached;
  if (cached === 0) k.pages.setContent(pfn, k.swap.content(slot));
  else {
    k.pages.get(pfn);
    deleteFromSwapCache(k, pfn);
  }
  k.pages.mark(pfn, PG_DIRTY);
  k.swap.put(slot);
  return pfn;
}

/** A folio as large as a huge page, of a file system with large folios; false where the file has no room for one. */
function readHugeFolio(k: Kernel, inode: number, index: number): boolean {
  const first = index - (index % k.tables.hugePages);
  if (first + k.tables.hugePages > k.files.size(inode) || !addHugePage(k, inode, index)) return false;
  readContent(k, inode, filemapGet(k, inode, first), false);
  return true;
}

/** A huge folio for the block of page `index`; false when something of the block is cached already. */
function addHugePage(k: Kernel, inode: number, index: number): boolean {
  return addFolio(k, inode, index - (index % k.tables.hugePages), hugeOrder(k));
}

/** filemap_add_folio() of a fresh folio of 2^order pages; false when something is cached there already. */
function addFolio(k: Kernel, inode: number, first: number, order: number): boolean {
  const pages = 1 << order;
  for (let at = first; at < first + pages; at++) if (k.files.cached(inode, at) !== 0) return false;
  const head = k.pages.alloc(order);
  filemapAdd(k, inode, first, head);
  for (let i = 1; i < pages; i++) k.files.setCached(inode, first + i, head + i);
  if (pages > 1) k.pages.get(head, pages - 1);
  return true;
}
