import { call, mightSleep, type Path, step } from "@mmu-notifier/steps";
import { EBADF, EINVAL } from "../errno.js";
import { filemapGet, readPage, shmemGetPage } from "../fault/page-cache.js";
import { pageCacheAsyncRa, pageCacheSyncRa } from "../fault/readahead.js";
import { FMODE_READ, FMODE_WRITE, INODE_DAX, INODE_DISK, INODE_HUGETLB, INODE_SHMEM, RA_PREV_INDEX } from "../file.js";
import { PAGE_SIZE } from "../geometry.js";
import type { Kernel } from "../kernel.js";
import { PG_DIRTY, PG_READAHEAD } from "../page.js";
import type { Thread } from "../thread.js";

/** End of file: pread(2) returns 0 bytes. */
export const READ_NOTHING = -1000;

/**
 * pread(2) of one byte at `offset` bytes.
 *
 * @returns the byte, {@link READ_NOTHING} at the end of the file, or -errno
 */
export function sysPread(k: Kernel, _t: Thread, file: number, offset: number): Path<number> {
  return call("pread64", pread(k, file, offset));
}

function* pread(k: Kernel, file: number, offset: number): Path<number> {
  if (file <= 0) return -EBADF;
  const readable = yield step("f_mode & FMODE_READ", () => ((k.files.mode(file) & FMODE_READ) !== 0 ? 1 : 0));
  if (readable === 0) return -EBADF;
  if (offset < 0) return -EINVAL;
  const index = Math.floor(offset / PAGE_SIZE);
  yield mightSleep("filemap_read");
  return yield step("filemap_read", () => {
    const inode = k.files.inode(file);
    return index >= k.files.size(inode) ? READ_NOTHING : contentOf(k, file, inode, index);
  });
}

/** filemap_get_pages() of one page, and the wait until the disk has delivered it. */
function readCached(k: Kernel, file: number, inode: number, index: number): number {
  if (filemapGet(k, inode, index) === 0) pageCacheSyncRa(k, file, index, 1);
  const page = filemapGet(k, inode, index);
  const first = k.pages.index(k.pages.head(page));
  if (k.pages.test(page, PG_READAHEAD)) pageCacheAsyncRa(k, file, first, page, index + 1 - first);
  k.diskReads.wait(k.pages, page);
  k.files.setRa(file, RA_PREV_INDEX, index);
  return k.pages.content(page);
}

function contentOf(k: Kernel, file: number, inode: number, index: number): number {
  switch (k.files.kind(inode)) {
    case INODE_DISK:
      return readCached(k, file, inode, index);
    case INODE_DAX: {
      const pfn = k.files.stored(inode, index);
      return pfn === 0 ? 0 : k.pages.content(pfn);
    }
    case INODE_HUGETLB: {
      const base = index - (index % k.tables.hugePages);
      const head = k.files.cached(inode, base);
      return head === 0 ? 0 : k.pages.content(head + (index - base));
    }
    default: {
      // A hole of a memory file reads as zeroes without a page being made for it.
      if (k.files.cached(inode, index) === 0) return 0;
      return k.pages.content(Math.abs(shmemGetPage(k, inode, index)));
    }
  }
}

/**
 * pwrite(2) of one byte at `offset` bytes. The page becomes dirty in the cache; entries that map it stay as they are.
 *
 * @returns 1 or -errno
 */
export function sysPwrite(k: Kernel, _t: Thread, file: number, offset: number, value: number): Path<number> {
  return call("pwrite64", pwrite(k, file, offset, value));
}

function* pwrite(k: Kernel, file: number, offset: number, value: number): Path<number> {
  if (file <= 0) return -EBADF;
  const writable = yield step("f_mode & FMODE_WRITE", () => ((k.files.mode(file) & FMODE_WRITE) !== 0 ? 1 : 0));
  if (writable === 0) return -EBADF;
  const kind = yield step("f_op->write_iter", () => k.files.kind(k.files.inode(file)));
  if (kind === INODE_HUGETLB || offset < 0) return -EINVAL;
  const index = Math.floor(offset / PAGE_SIZE);
  yield mightSleep("generic_perform_write");
  return yield step("generic_perform_write", () => {
    const inode = k.files.inode(file);
    if (index >= k.files.size(inode)) k.files.setSize(inode, index + 1);
    writeByte(k, inode, index, value);
    return 1;
  });
}

function writeByte(k: Kernel, inode: number, index: number, value: number): void {
  const kind = k.files.kind(inode);
  if (kind === INODE_DAX) {
    const pfn = k.files.stored(inode, index);
    if (pfn !== 0) k.pages.setContent(pfn, value);
    return;
  }
  if (kind === INODE_SHMEM) shmemGetPage(k, inode, index);
  else readPage(k, inode, index);
  const pfn = k.files.cached(inode, index);
  k.pages.setContent(pfn, value);
  k.pages.mark(pfn, PG_DIRTY);
  if (kind === INODE_DISK) {
    const head = k.pages.head(pfn);
    k.pages.setBuffersDirty(head, pfn - head, pfn - head + 1, true);
  }
}
