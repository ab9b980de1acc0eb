import { call, type Path, step, waitFor } from "@mmu-notifier/steps";
import { EBADF, EINVAL } from "../errno.js";
import { folioLock } from "../fault/folio-lock.js";
import { FMODE_WRITE, INODE_DAX, INODE_HUGETLB, INODE_SHMEM } from "../file.js";
import { dropCached } from "../files/file-put.js";
import { PAGE_SIZE } from "../geometry.js";
import { splitLockedFolio } from "../huge/split-folio.js";
import type { Kernel } from "../kernel.js";
import { since } from "../kernel-profile.js";
import { PG_DIRTY, PG_LOCKED, PG_WRITEBACK } from "../page.js";
import { tryToUnmap } from "../rmap/try-to-unmap.js";
import type { Thread } from "../thread.js";
import { ZAP_FILE_ONLY, ZAP_TRUNCATE } from "../unmap/zap-details.js";
import { unmapHugetlbMapping, unmapMappingRange } from "./unmap-mapping.js";

/** ftruncate(2). Length in bytes. Returns 0 or -errno. */
export function sysFtruncate(k: Kernel, t: Thread, file: number, lengthBytes: number): Path<number> {
  return call("ftruncate", ftruncate(k, t, file, lengthBytes));
}

function* ftruncate(k: Kernel, t: Thread, file: number, lengthBytes: number): Path<number> {
  if (file <= 0) return -EBADF;
  if (lengthBytes < 0) return -EINVAL;
  const pages = Math.ceil(lengthBytes / PAGE_SIZE);
  const writable = yield step("f_mode & FMODE_WRITE", () => ((k.files.mode(file) & FMODE_WRITE) !== 0 ? 1 : 0));
  if (writable === 0) return -EINVAL;
  const inode = yield step("file_inode", () => k.files.inode(file));
  const kind = yield step("i_op->setattr", () => k.files.kind(inode));
  if (kind === INODE_HUGETLB) return yield* hugetlbfsSetattr(k, t, inode, pages);
  const old = yield step("i_size_write", () => {
    const before = k.files.size(inode);
    k.files.setSize(inode, pages);
    return before;
  });
  // shmem looks whether the file gets shorter; the disk file systems unmap what lies beyond the new end in any case.
  if (kind === INODE_SHMEM && pages >= old) return 0;
  yield* truncatePagecache(k, t.cpu, inode, pages);
  return 0;
}

/**
 * truncate_pagecache(): pages from `first` on leave every mapping, the page cache, and every mapping again: a private copy may
 * have been made of a page between the first look and its removal. Private copies go too.
 */
export function* truncatePagecache(k: Kernel, cpu: number, inode: number, first: number): Path {
  yield* unmapMappingRange(k, cpu, inode, first, Infinity, ZAP_TRUNCATE);
  yield* call("truncate_inode_pages", truncateInodePages(k, cpu, inode, first, Infinity));
  yield* unmapMappingRange(k, cpu, inode, first, Infinity, ZAP_TRUNCATE);
}

/** truncate_pagecache_range(), shmem's hole punching: pages [first, end) leave the mappings once; private copies stay. */
export function* truncatePagecacheRange(k: Kernel, cpu: number, inode: number, first: number, end: number): Path {
  if (end <= first) return;
  yield* unmapMappingRange(k, cpu, inode, first, end, ZAP_FILE_ONLY);
  yield* call("truncate_inode_pages", truncateInodePages(k, cpu, inode, first, end));
}

const DONE = -1;

/** truncate_inode_pages_range(), with what the disk holds of the pages. A page that was mapped again meanwhile is unmapped once more. */
function* truncateInodePages(k: Kernel, cpu: number, inode: number, first: number, end: number): Path {
  for (let index = first; ;) {
    const from = index;
    index = yield step("find_lock_entries", () => nextCached(k, inode, from, end));
    if (index === DONE) break;
    const here = index;
    const entry = yield step("folio_get", () => {
      const slot = k.files.cached(inode, here);
      if (slot > 0) k.pages.get(slot);
      return slot > 0 ? k.pages.head(slot) : slot;
    });
    if (entry > 0) {
      const outside = yield step("truncate_inode_partial_folio", () => {
        const low = k.pages.index(entry);
        return low < first || low + k.pages.pages(entry) > end ? 1 : 0;
      });
      if (outside !== 0) {
        const next = yield* truncatePartialFolio(k, cpu, inode, entry, first, end);
        if (next !== GONE) {
          index = next;
          continue;
        }
      }
      yield folioLock(k, entry);
      yield waitFor("folio_wait_writeback", () => !k.pages.test(entry, PG_WRITEBACK));
      yield* unmapFolio(k, cpu, inode, entry);
    }
    yield step("filemap_remove_folio", () => {
      if (entry > 0) k.pages.unmark(entry, PG_LOCKED | PG_DIRTY);
      dropCached(k, inode, here);
      if (entry > 0) k.pages.put(entry);
      return 0;
    });
    index = here + 1;
  }
  yield step("ext4_ext_remove_space", () => {
    forget(k, inode, first, end);
    return 0;
  });
}

const GONE = -1;

/**
 * truncate_inode_partial_folio(): a large folio that pages [first, end) cut is split where they begin and where they end, and the
 * caller's reference dropped. What cannot be split stays, zeroed, if it is dirty.
 *
 * @returns the page to go on at, or GONE for a folio that goes as a whole
 */
function* truncatePartialFolio(
  k: Kernel,
  cpu: number,
  inode: number,
  head: number,
  first: number,
  end: number,
): Path<number> {
  yield folioLock(k, head);
  yield waitFor("folio_wait_writeback", () => !k.pages.test(head, PG_WRITEBACK));
  const low = yield step("folio->index", () => {
    if (k.files.kind(inode) === INODE_SHMEM) k.pages.mark(head, PG_DIRTY);
    return k.pages.index(head);
  });
  const high = low + (yield step("folio_size", () => k.pages.pages(head)));
  yield step("folio_zero_range, folio_invalidate", () => {
    for (let index = Math.max(first, low); index < Math.min(end, high); index++)
      k.pages.setContent(head + index - low, 0);
    k.pages.setBuffersDirty(head, Math.max(first, low) - low, Math.min(end, high) - low, false);
    return 0;
  });
  const failed = yield* trySplit(k, cpu, head, head + Math.max(0, first - low));
  if (failed === 0 && end < high) yield* splitEnd(k, cpu, inode, head + (end - low));
  return yield step("folio_unlock, folio_put", () => {
    k.pages.unmark(head, PG_LOCKED);
    if (failed !== 0 && !k.pages.test(head, PG_DIRTY)) return GONE;
    k.pages.put(head);
    return failed === 0 ? Math.max(first, low) : high;
  });
}

/** The part that the range ends in, if it is still a large one. Whether that works does not matter. */
function* splitEnd(k: Kernel, cpu: number, inode: number, page: number): Path {
  const head = yield step("folio_try_get", () => {
    const part = k.pages.head(page);
    if (k.pages.order(part) === 0 || k.pages.mapping(part) !== inode || k.pages.test(part, PG_LOCKED)) return 0;
    k.pages.mark(part, PG_LOCKED);
    k.pages.get(part);
    return part;
  });
  if (head === 0) return;
  yield* trySplit(k, cpu, head, page);
  yield step("folio_unlock, folio_put", () => {
    k.pages.unmark(head, PG_LOCKED);
    k.pages.put(head);
    return 0;
  });
}

/**
 * try_folio_split_or_unmap(): since v6.15 into parts as large as possible beside the page. A folio of a disk file that cannot be split
 * loses its mappings since v6.18, so that nothing behind the file's end stays mapped. The folio is locked.
 *
 * @returns 0 or -errno
 */
function* trySplit(k: Kernel, cpu: number, head: number, page: number): Path<number> {
  const how = since(k.profile, 6, 15) ? { around: page } : {};
  const failed = yield* call("split_folio", splitLockedFolio(k, cpu, head, how));
  if (failed !== 0 && since(k.profile, 6, 18)) {
    const shmem = yield step("shmem_mapping", () => (k.files.kind(k.pages.mapping(head)) === INODE_SHMEM ? 1 : 0));
    if (shmem === 0) yield* tryToUnmap(k, cpu, head, { splitHugePmd: true, ignoreMlock: true });
  }
  return failed;
}

function nextCached(k: Kernel, inode: number, from: number, end: number): number {
  const length = Math.min(end, k.files.cacheLength(inode));
  for (let index = from; index < length; index++) if (k.files.cached(inode, index) !== 0) return index;
  return DONE;
}

/** unmap_mapping_folio(): only if somebody maps the folio (again). */
function* unmapFolio(k: Kernel, cpu: number, inode: number, head: number): Path {
  const mapped = yield step("folio_mapped", () => {
    const pages = k.pages.pages(head);
    for (let pfn = head; pfn < head + pages; pfn++) if (k.pages.totalMapcount(pfn) > 0) return pages;
    return 0;
  });
  if (mapped === 0) return;
  const index = yield step("folio->index", () => k.pages.index(head));
  yield* unmapMappingRange(k, cpu, inode, index, index + mapped, { ...ZAP_FILE_ONLY, dropMarkers: true, folio: head });
}

/** The disk blocks of the pages are given up; DAX memory is zeroed. */
function forget(k: Kernel, inode: number, first: number, end: number): void {
  const dax = k.files.kind(inode) === INODE_DAX;
  const length = Math.min(end, k.files.storedLength(inode));
  for (let index = first; index < length; index++) {
    const stored = k.files.stored(inode, index);
    if (dax && stored !== 0) k.pages.setContent(stored, 0);
    else if (stored !== 0) k.files.setStored(inode, index, 0);
  }
}

/** hugetlbfs_setattr(): sizes are multiples of a huge page. */
function* hugetlbfsSetattr(k: Kernel, t: Thread, inode: number, pages: number): Path<number> {
  if (pages % k.tables.hugePages !== 0) return -EINVAL;
  yield step("i_size_write", () => {
    k.files.setSize(inode, pages);
    return 0;
  });
  yield* removeHugetlbPages(k, t.cpu, inode, pages, Infinity);
  return 0;
}

/** hugetlb_vmtruncate(), hugetlbfs_punch_hole(): huge pages [first, end) of the file go, with the promises that were kept for them. */
export function* removeHugetlbPages(k: Kernel, cpu: number, inode: number, first: number, end: number): Path {
  yield* unmapHugetlbMapping(k, cpu, inode, first, end);
  yield step("remove_inode_hugepages", () => {
    const span = k.tables.hugePages;
    const length = Math.min(end, k.files.cacheLength(inode));
    let freed = 0;
    for (let index = Math.ceil(first / span) * span; index < length; index += span) {
      if (k.files.cached(inode, index) === 0) continue;
      dropCached(k, inode, index);
      freed++;
    }
    const map = k.hugetlb.mapOfInode(inode);
    const promised = k.hugetlb.remove(map, first / span, end / span);
    // A promise whose page exists was used up when the page was allocated.
    if (promised > freed) k.hugetlb.account(freed - promised);
    return 0;
  });
}
