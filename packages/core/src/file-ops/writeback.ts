import { call, downRead, type Path, step, upRead } from "@mmu-notifier/steps";
import { folioLock, folioUnlock } from "../fault/folio-lock.js";
import { EBADF } from "../errno.js";
import { leafPfn } from "../fault/normal-page.js";
import { INODE_DAX, INODE_DISK } from "../file.js";
import type { Kernel } from "../kernel.js";
import { PG_DIRTY, PG_READAHEAD, PG_WRITEBACK } from "../page.js";
import { PMD_LEVEL } from "../page-table.js";
import { pteHugeLeaf, ptePfn, ptePresent } from "../pte.js";
import { folioMkclean, pageVmaMkcleanOne } from "../rmap/page-mkclean.js";
import { MAPPED_HUGE, NOT_MAPPED } from "../rmap/page-vma-mapped.js";
import type { Thread } from "../thread.js";
import { lastIndex, nextFileVma } from "../vma/file-links.js";
import { VM_SHARED } from "../vma.js";

/** fsync(2) of an open file (0 or -1: not open). Returns 0 or -errno. */
export function sysFsync(k: Kernel, t: Thread, file: number): Path<number> {
  return call("fsync", fsync(k, t, file));
}

function* fsync(k: Kernel, t: Thread, file: number): Path<number> {
  if (file <= 0) return -EBADF;
  const inode = yield step("file_inode", () => k.files.inode(file));
  return yield* vfsFsyncRange(k, t, inode, 0, Infinity);
}

/**
 * vfs_fsync_range(): writes the dirty pages [first, end) of a file back and waits. Each page is write-protected in every
 * mapping first, so that a later write makes it dirty again. Nothing to do for memory-backed files.
 *
 * @returns 0 or -errno
 */
export function vfsFsyncRange(k: Kernel, t: Thread, inode: number, first: number, end: number): Path<number> {
  return call("vfs_fsync_range", writeRange(k, t.cpu, inode, first, end));
}

/** sync(2): every disk file. */
export function sysSync(k: Kernel, t: Thread): Path<number> {
  return call("sync", syncAll(k, t.cpu));
}

function* syncAll(k: Kernel, cpu: number): Path<number> {
  for (let inode = 0; ;) {
    const after = inode;
    inode = yield step("iterate_bdevs", () => nextInode(k, after));
    if (inode === 0) return 0;
    yield* writeRange(k, cpu, inode, 0, Infinity);
  }
}

function nextInode(k: Kernel, after: number): number {
  for (let inode = after + 1; inode < k.files.inodes.used; inode++) if (k.files.inodes.isLive(inode)) return inode;
  return 0;
}

function* writeRange(k: Kernel, cpu: number, inode: number, first: number, end: number): Path<number> {
  const kind = yield step("mapping->a_ops", () => k.files.kind(inode));
  if (kind === INODE_DAX) yield* daxWriteback(k, cpu, inode, first, end);
  if (kind === INODE_DISK) yield* filemapWrite(k, cpu, inode, first, end);
  return 0;
}

const DONE = -1;

/** filemap_fdatawrite_range() and the wait for it: one folio after the other, in file order. */
function* filemapWrite(k: Kernel, cpu: number, inode: number, first: number, end: number): Path {
  for (let index = first; ;) {
    const from = index;
    index = yield step("folios tagged dirty", () => nextDirty(k, inode, from, end));
    if (index === DONE) return;
    const here = index;
    const head = yield step("filemap_get_folio", () => k.pages.head(k.files.cached(inode, here)));
    yield folioLock(k, head);
    const pages = yield* writeFolio(k, cpu, head);
    yield folioUnlock(k, head);
    index += pages;
  }
}

function nextDirty(k: Kernel, inode: number, from: number, end: number): number {
  const length = Math.min(end, k.files.cacheLength(inode));
  for (let index = from; index < length; index++) {
    const pfn = k.files.cached(inode, index);
    if (pfn > 0 && k.pages.test(pfn, PG_DIRTY)) return index;
  }
  return DONE;
}

/**
 * folio_clear_dirty_for_io() and the write itself, of a locked folio: the mappings lose their dirty and write bits before the
 * page is read for the disk.
 *
 * @returns pages of the folio
 */
function* writeFolio(k: Kernel, cpu: number, head: number): Path<number> {
  yield* folioMkclean(k, cpu, head);
  yield step("folio_start_writeback", () => {
    k.pages.unmark(head, PG_DIRTY);
    k.pages.setBuffersDirty(head, 0, k.pages.pages(head), false);
    k.pages.mark(head, PG_WRITEBACK);
    return 0;
  });
  return yield step("folio_end_writeback", () => {
    const inode = k.pages.mapping(head);
    const pages = k.pages.pages(head);
    const stored = inode === 0 ? 0 : pages;
    for (let i = 0; i < stored; i++) {
      k.files.setStored(inode, k.pages.index(head) + i, k.pages.content(head + i));
    }
    k.pages.unmark(head, PG_WRITEBACK | PG_READAHEAD);
    return pages;
  });
}

/** dax_writeback_mapping_range(): frames that were written through a mapping, block by block where one entry maps a block. */
function* daxWriteback(k: Kernel, cpu: number, inode: number, first: number, end: number): Path {
  for (let index = first; ;) {
    const from = index;
    index = yield step("entries tagged dirty", () => nextDirtyDax(k, inode, from, end));
    if (index === DONE) return;
    const here = index;
    const pfn = yield step("dax_to_pfn", () => k.files.stored(inode, here));
    yield downRead(k.files.iMmapLock(inode));
    for (let vma = 0; ;) {
      const after = vma;
      vma = yield step("vma_interval_tree_foreach", () => nextSharedVma(k, inode, here, after));
      if (vma === 0) break;
      const target = vma;
      const mm = yield step("vma->vm_mm", () => k.vmas.mm(target));
      const start = yield step("vma_pgoff_address", () => k.vmas.start(target) + here - k.vmas.pgoff(target));
      const told = k.profile.daxWriteProtectEvent === "MMU_NOTIFY_PROTECTION_PAGE" || (yield* hasTable(k, mm, start));
      const next = (at: number): number => mapsFrame(k, mm, at, pfn);
      if (told) yield* pageVmaMkcleanOne(k, cpu, { mm, start, end: start + 1, next }, k.profile.daxWriteProtectEvent);
    }
    yield upRead(k.files.iMmapLock(inode));
    yield step("xas_clear_mark", () => {
      k.pages.unmark(pfn, PG_DIRTY);
      return 0;
    });
    index++;
  }
}

function nextDirtyDax(k: Kernel, inode: number, from: number, end: number): number {
  const length = Math.min(end, k.files.size(inode));
  for (let index = from; index < length; index++) {
    const pfn = k.files.stored(inode, index);
    if (pfn !== 0 && k.pages.test(pfn, PG_DIRTY)) return index;
  }
  return DONE;
}

function nextSharedVma(k: Kernel, inode: number, index: number, after: number): number {
  const maps = (vma: number): boolean => k.vmas.pgoff(vma) <= index && index < lastIndex(k, vma);
  return nextFileVma(k, inode, after, (vma) => k.vmas.has(vma, VM_SHARED) && maps(vma));
}

/** page_vma_mapped_walk() for a frame without map count: the entry of page `vpn` if it maps `pfn`. Inside a step. */
function mapsFrame(k: Kernel, mm: number, vpn: number, pfn: number): number {
  const leaf = k.tables.leaf(k.mms.pgd(mm), vpn);
  const pte = leaf === 0 ? 0 : k.tables.get(leaf);
  if (!ptePresent(pte)) return NOT_MAPPED;
  if (pteHugeLeaf(pte)) return leafPfn(pte, vpn, k.tables.hugePages) === pfn ? MAPPED_HUGE + vpn : NOT_MAPPED;
  return ptePfn(pte) === pfn ? vpn : NOT_MAPPED;
}

function* hasTable(k: Kernel, mm: number, vpn: number): Path<boolean> {
  return (
    (yield step("follow_pte", () => {
      const pmdp = k.tables.find(k.mms.pgd(mm), PMD_LEVEL, vpn);
      return pmdp !== 0 && k.tables.get(pmdp) !== 0 ? 1 : 0;
    })) !== 0
  );
}
