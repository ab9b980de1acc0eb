import { call, downRead, downWrite, type Path, step, upRead, upWrite } from "@mmu-notifier/steps";
import { EAGAIN, EBUSY } from "../errno.js";
import { INODE_DISK } from "../file.js";
import { folioTrylock } from "../fault/folio-lock.js";
import { folioPut } from "../folio.js";
import { pageSlot, setFolioSlot } from "../folio-swap.js";
import type { Kernel } from "../kernel.js";
import { since } from "../kernel-profile.js";
import { PG_ANON, PG_BUFFER_DIRTY, PG_LOCKED, PG_SWAPCACHE, PG_WRITEBACK } from "../page.js";
import { removeMigrationPtes } from "../rmap/remove-migration.js";
import { tryToMigrate } from "../rmap/try-to-migrate.js";
import { folioMapcount } from "../rmap/rmap.js";
import { tryToUnmap } from "../rmap/try-to-unmap.js";
import { TlbUnmapBatch, tryToUnmapFlush } from "../tlb/unmap-batch.js";

/** How the large folio is split. */
interface Split {
  /** The parts keep a reference each, for the caller's list. */
  readonly toList?: boolean;
  /** Only this page becomes a single one, with parts as large as possible beside it (folio_split()). */
  readonly around?: number;
}

/**
 * split_folio(): makes single pages of a large folio. Its mappings wait as migration entries meanwhile; a file's are dropped.
 * The caller has one reference, which stays with the page of `head`.
 *
 * @returns 0, -EBUSY when the folio is locked, -EAGAIN when somebody else holds a reference
 */
export function splitFolio(k: Kernel, cpu: number, head: number): Path<number> {
  return call("split_folio", split(k, cpu, head));
}

function* split(k: Kernel, cpu: number, head: number): Path<number> {
  if ((yield folioTrylock(k, head)) === 0) return -EBUSY;
  const result = yield* splitLockedFolio(k, cpu, head);
  yield step("folio_unlock", () => {
    k.pages.unmark(head, PG_LOCKED);
    return 0;
  });
  return result;
}

/** split_folio_to_list(), try_folio_split(): {@link splitFolio} of a folio that the caller has locked; of its parts only `head` stays locked. */
export function* splitLockedFolio(k: Kernel, cpu: number, head: number, how: Split = {}): Path<number> {
  const pages = yield step("folio_nr_pages", () => k.pages.pages(head));
  if (pages === 1) return 0;
  const root = yield step("folio_get_anon_vma", () =>
    k.pages.test(head, PG_ANON) ? k.anonVmas.root(k.pages.mapping(head)) : 0,
  );
  const inode = root !== 0 ? 0 : yield step("folio->mapping", () => k.pages.mapping(head));
  if (root === 0 && inode === 0) return -EBUSY;
  if (inode !== 0) {
    const released = yield step("filemap_release_folio", () => (releases(k, inode, head) ? 1 : 0));
    if (released === 0) return -EBUSY;
  }
  if (root !== 0) yield downWrite(k.anonVmas.lockOfRoot(root));
  else yield downRead(k.files.iMmapLock(inode));
  const result = yield* unmapAndSplit(k, cpu, head, pages, root !== 0, how);
  if (root !== 0) yield upWrite(k.anonVmas.lockOfRoot(root));
  else yield upRead(k.files.iMmapLock(inode));
  return result;
}

/** try_to_free_buffers(): the folio of a disk file system has no dirty one. */
function releases(k: Kernel, inode: number, head: number): boolean {
  if (k.files.kind(inode) !== INODE_DISK) return true;
  if (k.pages.test(head, PG_WRITEBACK)) return false;
  const end = head + k.pages.pages(head);
  for (let pfn = head; pfn < end; pfn++) if ((k.pages.flags(pfn) & PG_BUFFER_DIRTY) !== 0) return false;
  return true;
}

/** Whether the page cache or the swap cache has a reference for each page. */
function cached(k: Kernel, head: number): boolean {
  return !k.pages.test(head, PG_ANON) || k.pages.test(head, PG_SWAPCACHE);
}

/** References that do not belong to mappings: the caller's and the cache's. */
function expected(k: Kernel, head: number, pages: number): number {
  return 1 + (cached(k, head) ? pages : 0);
}

/** unmap_folio(): the flushes are put off and done together since v6.12. */
function* unmapFolio(k: Kernel, cpu: number, head: number, anon: boolean): Path {
  const batch = new TlbUnmapBatch();
  const flags = { splitHugePmd: true, locking: "held", ...(since(k.profile, 6, 12) ? { batch } : {}) } as const;
  if (anon) yield* tryToMigrate(k, cpu, head, flags);
  else yield* tryToUnmap(k, cpu, head, { ...flags, ignoreMlock: true });
  yield* tryToUnmapFlush(k, cpu, batch);
}

function* unmapAndSplit(
  k: Kernel,
  cpu: number,
  head: number,
  pages: number,
  anon: boolean,
  { toList = false, around }: Split,
): Path<number> {
  const can = yield step("can_split_folio", () =>
    k.pages.refcount(head) === folioMapcount(k, head) + expected(k, head, pages) ? 1 : 0,
  );
  if (can === 0) return -EAGAIN;
  yield* unmapFolio(k, cpu, head, anon);
  const frozen = yield step("folio_ref_freeze", () => {
    if (k.pages.refcount(head) !== expected(k, head, pages)) return 0;
    const slot = k.pages.test(head, PG_SWAPCACHE) ? pageSlot(k, head) : 0;
    k.pages.split(head, 1, cached(k, head), around);
    if (slot !== 0) for (let i = 0; i < pages; i++) setFolioSlot(k, head + i, slot + i);
    return 1;
  });
  if (frozen === 0) {
    if (anon) yield* removeMigrationPtes(k, cpu, head, head, { locking: "held" });
    return -EAGAIN;
  }
  if (anon) {
    const useZeroPage = since(k.profile, 6, 12);
    for (let pfn = head; pfn < head + pages; pfn++)
      yield* removeMigrationPtes(k, cpu, pfn, pfn, { useZeroPage, locking: "held" });
  }
  yield step("free_folio_and_swap_cache", () => {
    for (let pfn = head + k.pages.pages(head), next = pfn; pfn < head + pages; pfn = next) {
      next += k.pages.pages(pfn);
      k.pages.unmark(pfn, PG_LOCKED);
      if (!toList) folioPut(k, pfn);
    }
    return 0;
  });
  return 0;
}
