import { type Path, step, waitFor } from "@mmu-notifier/steps";
import { EAGAIN, ENOMEM } from "../errno.js";
import { folioTrylock } from "../fault/folio-lock.js";
import { folioPut } from "../folio.js";
import { pageSlot, setFolioSlot } from "../folio-swap.js";
import { INODE_HUGETLB } from "../file.js";
import type { Kernel } from "../kernel.js";
import {
  PG_ALLOCATED,
  PG_ANON,
  PG_ANON_EXCLUSIVE,
  PG_HEAD,
  PG_HUGETLB,
  PG_LOCKED,
  PG_LRU,
  PG_SWAPCACHE,
  PG_TAIL,
  PG_WRITEBACK,
} from "../page.js";
import { removeMigrationPtes } from "../rmap/remove-migration.js";
import { tryToMigrate } from "../rmap/try-to-migrate.js";
import type { TlbUnmapBatch } from "../tlb/unmap-batch.js";
import { folioMapcount } from "../rmap/rmap.js";

/** Flags that describe the frame, not what is in it. */
const OF_THE_FRAME = PG_ALLOCATED | PG_HEAD | PG_TAIL | PG_LOCKED | PG_LRU | PG_ANON_EXCLUSIVE | PG_HUGETLB;

/**
 * migrate_folio_unmap(): takes the folio (isolated, with a reference of the caller's) out of all page tables. On success it is
 * locked, as is the new one.
 *
 * @param node where the new folio is to be
 * @returns the new folio, -EAGAIN when the folio is busy or pinned, -ENOMEM
 */
export function* migrateFolioUnmap(
  k: Kernel,
  cpu: number,
  src: number,
  node: number,
  batch?: TlbUnmapBatch,
): Path<number> {
  const dst = yield step("alloc_migration_target", () => allocTarget(k, src, node));
  if (dst < 0) return dst;
  if ((yield folioTrylock(k, src)) === 0) {
    yield freeTarget(k, dst);
    return -EAGAIN;
  }
  yield waitFor("folio_wait_writeback", () => !k.pages.test(src, PG_WRITEBACK));
  const hugetlbFile = yield step("hugetlb_folio_mapping_lock_write", () => (isHugetlbFile(k, src) ? 1 : 0));
  yield* tryToMigrate(k, cpu, src, {
    ...(batch === undefined ? {} : { batch }),
    locking: hugetlbFile !== 0 ? "write" : "read",
  });
  const mapped = yield step("folio_mapped", () => folioMapcount(k, src));
  if (mapped === 0) return dst;
  yield* migrateFolioUndo(k, cpu, src, dst);
  return -EAGAIN;
}

function isHugetlbFile(k: Kernel, head: number): boolean {
  return (
    !k.pages.test(head, PG_ANON) && k.pages.mapping(head) !== 0 && k.files.kind(k.pages.mapping(head)) === INODE_HUGETLB
  );
}

/** migrate_folio_undo_src() and _dst(): everything is as it was, with old entries. */
export function* migrateFolioUndo(k: Kernel, cpu: number, src: number, dst: number): Path {
  yield* removeMigrationPtes(k, cpu, src, src);
  yield step("folio_unlock", () => {
    k.pages.unmark(src, PG_LOCKED);
    return 0;
  });
  yield freeTarget(k, dst);
}

function freeTarget(k: Kernel, dst: number) {
  return step("migrate_folio_undo_dst", () => {
    k.pages.unmark(dst, PG_LOCKED);
    folioPut(k, dst);
    return 0;
  });
}

function allocTarget(k: Kernel, src: number, node: number): number {
  const hugetlb = k.pages.test(src, PG_HUGETLB);
  if (hugetlb && !k.hugetlb.take(false)) return -ENOMEM;
  const dst = k.pages.alloc(k.pages.order(src), PG_LOCKED | (hugetlb ? PG_HUGETLB : 0));
  k.pages.setNode(dst, node);
  return dst;
}

/** folio_expected_refs(): the isolation's reference and those of the caches. */
function expectedRefs(k: Kernel, src: number): number {
  if (k.pages.test(src, PG_ANON)) return 1 + (k.pages.test(src, PG_SWAPCACHE) ? k.pages.pages(src) : 0);
  if (k.pages.mapping(src) === 0) return 1;
  return 1 + (k.pages.test(src, PG_HUGETLB) ? 1 : k.pages.pages(src));
}

/**
 * migrate_folio_move(): copies an unmapped folio, lets the new one take its place in the caches and maps it. Gives up the
 * isolation's reference on the old one.
 *
 * @returns 0, or -EAGAIN when somebody else holds a reference; then nothing has changed
 */
export function* migrateFolioMove(k: Kernel, cpu: number, src: number, dst: number): Path<number> {
  const moved = yield step("folio_migrate_mapping", () => {
    if (k.pages.refcount(src) !== expectedRefs(k, src)) return 0;
    moveMapping(k, src, dst);
    return 1;
  });
  if (moved === 0) return -EAGAIN;
  yield* removeMigrationPtes(k, cpu, src, dst);
  yield step("migrate_folio_done", () => {
    k.pages.unmark(src, PG_LOCKED);
    k.pages.unmark(dst, PG_LOCKED);
    k.pages.mark(dst, PG_LRU);
    folioPut(k, dst);
    folioPut(k, src);
    return 0;
  });
  return 0;
}

function moveMapping(k: Kernel, src: number, dst: number): void {
  const pages = k.pages.pages(src);
  for (let i = 0; i < pages; i++) k.pages.setContent(dst + i, k.pages.content(src + i));
  k.pages.mark(dst, k.pages.flags(src) & ~OF_THE_FRAME);
  k.pages.setMapping(dst, k.pages.mapping(src));
  k.pages.setIndex(dst, k.pages.index(src));
  if (k.pages.test(src, PG_SWAPCACHE)) {
    const slot = pageSlot(k, src);
    setFolioSlot(k, dst, slot);
    setFolioSlot(k, src, 0);
    for (let i = 0; i < pages; i++) k.swap.setCached(slot + i, dst + i);
    moveReferences(k, src, dst, pages);
    return;
  }
  if (k.pages.test(src, PG_ANON) || k.pages.mapping(src) === 0) return;
  const inode = k.pages.mapping(src);
  const hugetlb = k.pages.test(src, PG_HUGETLB);
  const index = k.pages.index(src);
  for (let i = 0; i < (hugetlb ? 1 : pages); i++) k.files.setCached(inode, index + i, dst + i);
  moveReferences(k, src, dst, hugetlb ? 1 : pages);
}

/** The page cache's references go with its slots. */
function moveReferences(k: Kernel, src: number, dst: number, by: number): void {
  k.pages.get(dst, by);
  k.pages.put(src, by);
}
