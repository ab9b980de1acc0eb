import { mightSleep, type Path, step } from "@mmu-notifier/steps";
import { INODE_SHMEM } from "../file.js";
import { deleteFromSwapCache } from "../folio-swap.js";
import { hugeOrder } from "../huge/huge-zero.js";
import type { Kernel } from "../kernel.js";
import { since } from "../kernel-profile.js";
import { PG_DIRTY, PG_LRU, PG_READAHEAD, PG_SWAPBACKED, PG_UPTODATE } from "../page.js";

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
  if (k.config.diskFolioOrder >= hugeOrder(k) && readHugeFolio(k, inode, index)) return;
  const pfn = k.pages.alloc();
  k.pages.setContent(pfn, k.files.stored(inode, index));
  filemapAdd(k, inode, index, pfn);
}

/** How much do_sync_mmap_readahead() reads: one page, the pages around it, or those from it on to page `until` of the file. */
export type ReadAround = "single" | "around" | { readonly until: number };

/** do_sync_mmap_readahead(): reads the page and what `how` says, and marks where the next batch begins. May sleep. */
export function* readAround(k: Kernel, inode: number, index: number, how: ReadAround): Path {
  const { readAheadPages } = k.config;
  yield mightSleep("page_cache_ra_order");
  yield step("page_cache_ra_order", () => {
    if (typeof how === "object") {
      readBatch(k, inode, index, Math.min(readAheadPages, how.until - index), 0);
      return 0;
    }
    const single = how === "single";
    const from = single ? index : Math.max(0, index - readAheadPages / 2);
    readBatch(k, inode, from, single ? 1 : readAheadPages, single ? 0 : Math.floor(readAheadPages / 4));
    return 0;
  });
}

/** page_cache_async_ra(): the page that was marked is used, so the batch after what is cached is read. May sleep. */
export function* readAhead(k: Kernel, inode: number, index: number, page: number): Path {
  yield mightSleep("page_cache_async_ra");
  yield step("page_cache_async_ra", () => {
    k.pages.unmark(page, PG_READAHEAD);
    let next = index;
    while (next < k.files.size(inode) && filemapGet(k, inode, next) !== 0) next++;
    readBatch(k, inode, next, k.config.readAheadPages, k.config.readAheadPages);
    return 0;
  });
}

/**
 * page_cache_ra_unbounded(): pages [from, from + count) up to the end of the file; the one `lookahead` before the end is
 * marked. Since the file system has large folios (v6.16) the mark is placed before the batch is cut at the end of the file.
 */
function readBatch(k: Kernel, inode: number, from: number, count: number, lookahead: number): void {
  const pages = Math.min(count, k.files.size(inode) - from);
  const reach = since(k.profile, 6, 16) ? count : pages;
  const mark = lookahead > 0 && lookahead <= reach ? from + reach - lookahead : -1;
  for (let at = from; at < from + pages; at++) {
    if (filemapGet(k, inode, at) !== 0) continue;
    readPage(k, inode, at);
    if (at === mark) k.pages.mark(filemapGet(k, inode, at), PG_READAHEAD);
  }
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
  const pages = k.tables.hugePages;
  const first = index - (index % pages);
  if (first + pages > k.files.size(inode) || !addHugePage(k, inode, index)) return false;
  const head = filemapGet(k, inode, first);
  for (let i = 0; i < pages; i++) k.pages.setContent(head + i, k.files.stored(inode, first + i));
  return true;
}

/** A huge folio for the block of page `index`; false when something of the block is cached already. */
function addHugePage(k: Kernel, inode: number, index: number): boolean {
  const pages = k.tables.hugePages;
  const first = index - (index % pages);
  for (let at = first; at < first + pages; at++) if (k.files.cached(inode, at) !== 0) return false;
  const head = k.pages.alloc(hugeOrder(k));
  filemapAdd(k, inode, first, head);
  for (let i = 1; i < pages; i++) k.files.setCached(inode, first + i, head + i);
  k.pages.get(head, pages - 1);
  return true;
}
