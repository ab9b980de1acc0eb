import { call, type Path, step } from "@mmu-notifier/steps";
import { EBADF } from "../errno.js";
import { INODE_DISK } from "../file.js";
import { dropCached } from "../files/file-put.js";
import type { Kernel } from "../kernel.js";
import { PG_DIRTY, PG_LOCKED, PG_WRITEBACK } from "../page.js";
import type { Thread } from "../thread.js";
import { vfsFsyncRange } from "./writeback.js";

/**
 * posix_fadvise(POSIX_FADV_DONTNEED) of a whole file: what is clean and mapped by nobody leaves the cache; what is dirty is written
 * back, and since nobody waits for that it stays.
 */
export function sysFadviseDontneed(k: Kernel, t: Thread, file: number): Path<number> {
  return call("fadvise64", dontneed(k, t, file));
}

function* dontneed(k: Kernel, t: Thread, file: number): Path<number> {
  if (file <= 0) return -EBADF;
  const inode = yield step("file_inode", () => k.files.inode(file));
  // The write comes first, but while it is under way its pages cannot go.
  yield* invalidateMappingPages(k, inode);
  yield* vfsFsyncRange(k, t, inode, 0, Infinity);
  return 0;
}

/** invalidate_mapping_pages(): clean pages of a disk file that nobody maps, holds or writes. */
function* invalidateMappingPages(k: Kernel, inode: number): Path {
  yield step("invalidate_mapping_pages", () => {
    if (k.files.kind(inode) !== INODE_DISK) return 0;
    const length = k.files.cacheLength(inode);
    for (let index = 0; index < length; index++) {
      const pfn = k.files.cached(inode, index);
      if (pfn > 0 && isUnused(k, k.pages.head(pfn))) dropCached(k, inode, index);
    }
    return 0;
  });
}

function isUnused(k: Kernel, head: number): boolean {
  if (k.pages.test(head, PG_DIRTY | PG_WRITEBACK | PG_LOCKED)) return false;
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
