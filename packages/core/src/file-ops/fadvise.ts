import { call, type Path, step } from "@mmu-notifier/steps";
import { EBADF } from "../errno.js";
import { INODE_DISK } from "../file.js";
import { dropCached } from "../files/file-put.js";
import type { Kernel } from "../kernel.js";
import { PG_DIRTY, PG_LOCKED, PG_WRITEBACK } from "../page.js";
import type { Thread } from "../thread.js";
import { vfsFsyncRange } from "./writeback.js";

/**
 * posix_fadvise(POSIX_FADV_DONTNEED) of a whole file: what is dirty is written back, what nobody maps or holds leaves the cache.
 */
export function sysFadviseDontneed(k: Kernel, t: Thread, file: number): Path<number> {
  return call("fadvise64", dontneed(k, t, file));
}

function* dontneed(k: Kernel, t: Thread, file: number): Path<number> {
  if (file <= 0) return -EBADF;
  const inode = yield step("file_inode", () => k.files.inode(file));
  // Nobody waits for the writes, and while they are under way their pages are passed over. If another page could not go either, the
  // batches of all CPUs are emptied and the cache is looked through once more: by then the writes are over.
  const failed = yield* invalidateMappingPages(k, inode);
  yield* vfsFsyncRange(k, t, inode, 0, Infinity);
  if (failed !== 0) yield* invalidateMappingPages(k, inode);
  return 0;
}

/** mapping_try_invalidate(): clean pages of a disk file that nobody maps, holds or writes. Returns how many others are clean. */
function* invalidateMappingPages(k: Kernel, inode: number): Path<number> {
  return yield step("mapping_try_invalidate", () => {
    if (k.files.kind(inode) !== INODE_DISK) return 0;
    const length = k.files.cacheLength(inode);
    let failed = 0;
    for (let index = 0; index < length; index++) {
      const pfn = k.files.cached(inode, index);
      const head = pfn > 0 ? k.pages.head(pfn) : 0;
      if (head === 0 || k.pages.test(head, PG_DIRTY | PG_WRITEBACK | PG_LOCKED)) continue;
      if (isUnused(k, head)) dropCached(k, inode, index);
      else failed++;
    }
    return failed;
  });
}

function isUnused(k: Kernel, head: number): boolean {
  const pages = k.pages.pages(head);
  for (let pfn = head; pfn < head + pages; pfn++) if (k.pages.totalMapcount(pfn) > 0) return false;
  return k.pages.refcount(head) === pages;
}

/** drop_caches: every disk file's unused clean pages. */
export function* dropCaches(k: Kernel, _t: Thread): Path<number> {
  for (let inode = 0; ;) {
    const after = inode;
    inode = yield step("iterate_supers", () => {
      for (let at = after + 1; at < k.files.inodes.used; at++) if (k.files.inodes.isLive(at)) return at;
      return 0;
    });
    if (inode === 0) return 0;
    yield* invalidateMappingPages(k, inode);
  }
}
