import { PREV_NONE, RA_ASYNC_SIZE, RA_ORDER, RA_PREV_INDEX, RA_SIZE, RA_START } from "../file.js";
import { hugeOrder } from "../huge/huge-zero.js";
import type { Kernel } from "../kernel.js";
import { since } from "../kernel-profile.js";
import { PG_READAHEAD, PG_WRITEBACK } from "../page.js";
import { filemapGet, readFolio, readPage } from "./page-cache.js";

// mm/readahead.c. Everything here runs inside a step; `file` is an open disk file, whose struct file_ra_state it reads and leaves.

/**
 * page_cache_ra_unbounded(): reads pages [from, from + count) that are not cached, one by one; the one `lookahead` before the end is
 * marked if it was not cached.
 */
function pageCacheRaUnbounded(k: Kernel, inode: number, from: number, count: number, lookahead: number): void {
  const mark = lookahead > 0 && lookahead <= count ? from + count - lookahead : -1;
  for (let index = from; index < from + count; index++) {
    if (filemapGet(k, inode, index) !== 0) continue;
    readPage(k, inode, index, true);
    if (index === mark) k.pages.mark(filemapGet(k, inode, index), PG_READAHEAD);
  }
}

/** do_page_cache_ra(): {@link pageCacheRaUnbounded} up to the end of the file. */
function doPageCacheRa(k: Kernel, inode: number, from: number, count: number, lookahead: number): void {
  const left = k.files.size(inode) - from;
  if (left > 0) pageCacheRaUnbounded(k, inode, from, Math.min(count, left), marksLast(k, count, left) ? lookahead : 0);
}

/** Newer kernels than v6.18 set no mark in a window that reaches the end of the file, `left` pages from its begin. */
function marksLast(k: Kernel, count: number, left: number): boolean {
  return count < left || !since(k.profile, 7, 0);
}

/**
 * page_cache_ra_order(): reads from page `from` what the file's readahead state says, in folios of up to 2^order pages as far as
 * alignment and the end of the file allow; once it meets a cached page, single pages fill the gaps.
 */
export function pageCacheRaOrder(k: Kernel, file: number, from: number): void {
  const { files } = k;
  const inode = files.inode(file);
  const size = files.ra(file, RA_SIZE);
  const asyncSize = files.ra(file, RA_ASYNC_SIZE);
  let index = from;
  if (!largeFolios(k)) files.setRa(file, RA_ORDER, 0);
  else {
    const most = Math.min(files.ra(file, RA_ORDER), hugeOrder(k), 31 - Math.clz32(size));
    files.setRa(file, RA_ORDER, most);
    const end = Math.min(files.size(inode), from + size);
    const mark = marksLast(k, size, files.size(inode) - from) ? from + size - asyncSize : -1;
    for (let pages = 1; index < end; index += pages) {
      let order = most;
      while (index % (1 << order) !== 0 || index + (1 << order) > end) order--;
      pages = 1 << order;
      if (!readFolio(k, inode, index, order)) break;
      if (mark >= 0 && index === mark - (mark % pages)) k.pages.mark(filemapGet(k, inode, index), PG_READAHEAD);
    }
    if (index >= end) return;
  }
  doPageCacheRa(k, inode, index, size - (index - from), asyncSize);
}

/** mapping_large_folio_support() of the disk file system, which is ext4. */
function largeFolios(k: Kernel): boolean {
  return k.config.diskFolioOrder === "readahead" && since(k.profile, 6, 16);
}

/** page_cache_sync_ra(): page `index` is not cached and `count` pages are wanted from it on. */
export function pageCacheSyncRa(k: Kernel, file: number, index: number, count: number): void {
  const { files } = k;
  const most = k.config.readAheadPages;
  const inode = files.inode(file);
  if (most === 0) return doPageCacheRa(k, inode, index, 1, 0);
  const previous = files.ra(file, RA_PREV_INDEX);
  const sequential = previous !== PREV_NONE && (index === previous || index === previous + 1);
  if (index === 0 || count > most || sequential) {
    const size = initialSize(count, most);
    const half = since(k.profile, 6, 11) ? size >> 1 : size;
    files.setRa(file, RA_ORDER, 0);
    submit(k, file, index, size, size > count ? size - count : half, index);
    return;
  }
  const history = cachedBefore(k, inode, index, most);
  if (history <= count) return doPageCacheRa(k, inode, index, count, 0);
  const run = history === index ? history * 2 : history;
  files.setRa(file, RA_ORDER, 0);
  submit(k, file, index, Math.min(run + count, most), 1, index);
}

/** page_cache_async_ra(): the marked folio of `page` at `index` is used, so the next window is read. */
export function pageCacheAsyncRa(k: Kernel, file: number, index: number, page: number, count: number): void {
  const { files } = k;
  const most = k.config.readAheadPages;
  // PG_reclaim is the same bit.
  if (most === 0 || k.pages.test(page, PG_WRITEBACK)) return;
  k.pages.unmark(page, PG_READAHEAD);
  const inode = files.inode(file);
  const start = files.ra(file, RA_START);
  const size = files.ra(file, RA_SIZE);
  const pages = k.pages.pages(page);
  const expected = start + size - files.ra(file, RA_ASYNC_SIZE);
  if (index === expected - (expected % pages) || (!since(k.profile, 6, 11) && index === start + size)) {
    submitNext(k, file, start + size, Math.max(size, nextSize(size, most)), index);
    return;
  }
  const miss = nextMiss(k, inode, index + 1, most);
  if (miss - index <= most) submitNext(k, file, miss, nextSize(miss - index + count, most), index);
}

/** Slots of a node of an XArray. */
const XA_CHUNK_SIZE = 64;

/**
 * The slot that xas_load() of page `index` ends at: that of the folio, whose other slots only refer to it. Folios that fill whole nodes
 * have one slot higher up.
 */
function slotOf(k: Kernel, inode: number, index: number): number {
  const page = filemapGet(k, inode, index);
  if (page === 0 || k.pages.pages(page) >= XA_CHUNK_SIZE) return index;
  return k.pages.index(k.pages.head(page));
}

/**
 * page_cache_next_miss(): the page that is taken for the first from `index` on that is not cached. Where the search begins inside a
 * folio it goes on from the folio's slot with the index of the page, and is ahead of the slots until it comes to another node.
 */
function nextMiss(k: Kernel, inode: number, index: number, most: number): number {
  let slot = slotOf(k, inode, index);
  for (let at = index; at < index + most; at++) {
    if (filemapGet(k, inode, slot) === 0) return at;
    slot = slot % XA_CHUNK_SIZE === XA_CHUNK_SIZE - 1 ? at + 1 : slot + 1;
  }
  return index + most;
}

/** page_cache_prev_miss(): how many pages right before `index` are taken for cached, {@link nextMiss} the other way. */
function cachedBefore(k: Kernel, inode: number, index: number, most: number): number {
  let slot = slotOf(k, inode, index - 1);
  let count = 0;
  for (; count < most && slot >= 0 && filemapGet(k, inode, slot) !== 0; count++) slot--;
  return count;
}

/** The next window of a series, in larger folios, that ends where such a folio would. */
function submitNext(k: Kernel, file: number, start: number, wanted: number, index: number): void {
  const { files } = k;
  let size = wanted;
  if (largeFolios(k)) {
    const order = files.ra(file, RA_ORDER) + 2;
    files.setRa(file, RA_ORDER, order);
    const most = k.config.readAheadPages;
    const align = 2 ** Math.min(order, 31 - Math.clz32(most & -most));
    const end = start + size - ((start + size) % align);
    if (end > start) size = end - start;
  }
  submit(k, file, start, size, size, index);
}

function submit(k: Kernel, file: number, start: number, size: number, asyncSize: number, index: number): void {
  const most = k.config.readAheadPages;
  if (!since(k.profile, 6, 11) && index === start && size === asyncSize) {
    // Up to v6.10 a read that would meet its own mark takes the next window at once.
    const more = nextSize(size, most);
    if (size + more <= most) k.files.setRaWindow(file, start, size + more, more);
    else k.files.setRaWindow(file, start, most, most >> 1);
  } else k.files.setRaWindow(file, start, size, asyncSize);
  pageCacheRaOrder(k, file, start);
}

/** get_init_ra_size(). */
function initialSize(count: number, most: number): number {
  const size = 2 ** Math.ceil(Math.log2(count));
  if (size <= most / 32) return size * 4;
  return size <= most / 4 ? size * 2 : most;
}

/** get_next_ra_size(). */
function nextSize(size: number, most: number): number {
  if (size < most / 16) return 4 * size;
  return size <= most / 2 ? 2 * size : most;
}
