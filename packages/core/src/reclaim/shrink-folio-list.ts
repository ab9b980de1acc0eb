import { call, type Path, step } from "@mmu-notifier/steps";
import { folioTrylock } from "../fault/folio-lock.js";
import { folioPut } from "../folio.js";
import { addToSwapCache, deleteFromSwapCache, folioSwapped, pageSlot } from "../folio-swap.js";
import { INODE_DISK, INODE_SHMEM } from "../file.js";
import { hugeOrder } from "../huge/huge-zero.js";
import { splitLockedFolio } from "../huge/split-folio.js";
import type { Kernel } from "../kernel.js";
import { since } from "../kernel-profile.js";
import {
  PG_ANON,
  PG_DIRTY,
  PG_LOCKED,
  PG_LRU,
  PG_READAHEAD,
  PG_SWAPBACKED,
  PG_SWAPCACHE,
  PG_UNEVICTABLE,
  PG_WRITEBACK,
} from "../page.js";
import { folioReferenced } from "../rmap/folio-referenced.js";
import { folioMapcount } from "../rmap/rmap.js";
import { tryToUnmap } from "../rmap/try-to-unmap.js";
import { TlbUnmapBatch, tryToUnmapFlush, tryToUnmapFlushDirty } from "../tlb/unmap-batch.js";

/**
 * reclaim_pages(): tries to free isolated folios, each with a reference of the caller's, in the list's order. What cannot go
 * returns to the LRU.
 *
 * @param ignoreReferences pages that were used lately go as well
 */
export function reclaimPages(k: Kernel, cpu: number, folios: readonly number[], ignoreReferences: boolean): Path {
  return call("shrink_folio_list", shrink(k, cpu, folios, ignoreReferences));
}

function* shrink(k: Kernel, cpu: number, folios: readonly number[], ignoreReferences: boolean): Path {
  const batch = new TlbUnmapBatch();
  const queue = [...folios];
  for (let folio = queue.shift(); folio !== undefined; folio = queue.shift()) {
    const head = folio;
    const locked = yield folioTrylock(k, head);
    const freed = locked !== 0 && (yield* shrinkOne(k, cpu, head, queue, batch, ignoreReferences));
    if (freed) continue;
    yield step("putback_lru_folio", () => {
      if (locked !== 0) k.pages.unmark(head, PG_LOCKED);
      k.pages.mark(head, PG_LRU);
      folioPut(k, head);
      return 0;
    });
  }
  yield* tryToUnmapFlush(k, cpu, batch);
}

/** One locked folio; true when it is gone. A large one leaves its parts in the queue. */
function* shrinkOne(
  k: Kernel,
  cpu: number,
  head: number,
  queue: number[],
  batch: TlbUnmapBatch,
  ignoreReferences: boolean,
): Path<boolean> {
  const keep = yield step("folio_evictable", () => (k.pages.test(head, PG_UNEVICTABLE | PG_WRITEBACK) ? 1 : 0));
  if (keep !== 0) return false;
  if (!ignoreReferences && k.profile.reclaimAges && (yield* folioReferenced(k, cpu, head)) > 0) return false;
  const swaps = yield step("folio_test_swapbacked", () => (wantsSwap(k, head) ? 1 : 0));
  if (swaps !== 0) {
    if (!(yield* splitLarge(k, cpu, head, queue))) return false;
    if ((yield step("folio_alloc_swap", () => (addToSwap(k, head) ? 1 : 0))) === 0) return false;
  }
  const early = yield step("folio_test_large", () => (since(k.profile, 6, 12) ? 1 : shmemPages(k, head)));
  if (early > 1 && !(yield* splitToQueue(k, cpu, head, early, queue))) return false;
  const mapped = yield step("folio_mapped", () => folioMapcount(k, head));
  if (mapped !== 0) {
    const large = yield step("folio_test_pmd_mappable", () => (k.pages.order(head) === hugeOrder(k) ? 1 : 0));
    yield* tryToUnmap(k, cpu, head, { batch, splitHugePmd: large !== 0 });
    const left = yield step("folio_mapped", () => folioMapcount(k, head));
    if (left !== 0) return yield* activate(k, head);
  }
  const writes = yield step("folio_test_dirty", () => (writesOut(k, head) ? 1 : 0));
  if (writes !== 0) {
    yield* tryToUnmapFlushDirty(k, cpu, batch);
    const large = yield step("shmem_writeout", () => (k.profile.thpSwapsWhole ? 1 : shmemPages(k, head)));
    if (large > 1 && !(yield* splitToQueue(k, cpu, head, large, queue))) return yield* activate(k, head);
  }
  const gone = yield step("__remove_mapping", () => (removeMapping(k, head) ? 1 : 0));
  return gone !== 0 ? true : yield* activate(k, head);
}

/** Anonymous memory that is not in the swap cache and not discardable. Pinned memory is left alone before that is tried. */
function wantsSwap(k: Kernel, head: number): boolean {
  return k.pages.test(head, PG_ANON) && k.pages.test(head, PG_SWAPBACKED) && !k.pages.test(head, PG_SWAPCACHE);
}

/** A large folio is split when swap takes single pages only, or when it is no longer mapped whole: false when that is not possible. */
function* splitLarge(k: Kernel, cpu: number, head: number, queue: number[]): Path<boolean> {
  const usable = yield step("folio_maybe_dma_pinned", () =>
    k.pages.pincount(head) > 0 || !swapHasRoom(k) ? 0 : k.pages.pages(head),
  );
  if (usable === 0) return false;
  if (usable === 1) return true;
  const whole = yield step("folio_test_partially_mapped", () => (swapsWhole(k, head) ? 1 : 0));
  return whole !== 0 || (yield* splitToQueue(k, cpu, head, usable, queue));
}

/** split_folio_to_list(): the other pages of the folio come next; false when it cannot be split. */
function* splitToQueue(k: Kernel, cpu: number, head: number, pages: number, queue: number[]): Path<boolean> {
  if ((yield* splitLockedFolio(k, cpu, head, { toList: true })) !== 0) return false;
  const parts = Array.from({ length: pages - 1 }, (_, i) => head + 1 + i);
  // The list is taken from its tail; since v6.15 the parts are put there in ascending order.
  queue.unshift(...(since(k.profile, 6, 15) ? parts.reverse() : parts));
  return true;
}

const swapHasRoom = (k: Kernel): boolean => k.swap.enabled && k.swap.segment.live < k.config.swapSlots;

/** THP_SWAP: the folio gets slots in a row, if there are as many. Inside a step. */
function swapsWhole(k: Kernel, head: number): boolean {
  const pages = k.pages.pages(head);
  if (!k.profile.thpSwapsWhole || k.swap.segment.live + pages > k.config.swapSlots) return false;
  for (let pfn = head; pfn < head + pages; pfn++) if (k.pages.totalMapcount(pfn) === 0) return false;
  return true;
}

function addToSwap(k: Kernel, head: number): boolean {
  if (!swapHasRoom(k)) return false;
  const pages = k.pages.pages(head);
  const slot = pages === 1 ? k.swap.alloc(k.pages.content(head)) : k.swap.allocRun(pages);
  addToSwapCache(k, head, slot);
  return true;
}

/** activate_locked: a page that stays gives its swap slot back. */
function* activate(k: Kernel, head: number): Path<boolean> {
  yield step("activate_locked", () => {
    if (k.pages.test(head, PG_SWAPCACHE) && !folioSwapped(k, head)) deleteFromSwapCache(k, head);
    return 0;
  });
  return false;
}

function isShmem(k: Kernel, head: number): boolean {
  return (
    !k.pages.test(head, PG_ANON) && k.pages.mapping(head) !== 0 && k.files.kind(k.pages.mapping(head)) === INODE_SHMEM
  );
}

/** Pages of a memory file's folio; 1 for other memory. A large one is split for swap, since v6.12 when it is no longer mapped. */
const shmemPages = (k: Kernel, head: number): number => (isShmem(k, head) ? k.pages.pages(head) : 1);

/** pageout(): anonymous and shmem pages are written to swap here; a disk file's dirty pages are left to the flusher. */
function writesOut(k: Kernel, head: number): boolean {
  return k.pages.test(head, PG_SWAPCACHE) || (isShmem(k, head) && k.pages.test(head, PG_DIRTY));
}

/** Frees an unmapped folio that nobody else refers to. */
function removeMapping(k: Kernel, head: number): boolean {
  const pages = k.pages.pages(head);
  if (k.pages.test(head, PG_SWAPCACHE)) {
    if (k.pages.test(head, PG_DIRTY)) {
      // Written out to its slot, an old one with what it holds now. Until that is done it stays in the swap cache.
      const slot = pageSlot(k, head);
      for (let i = 0; i < pages; i++) k.swap.setContent(slot + i, k.pages.content(head + i));
      k.pages.unmark(head, PG_DIRTY);
      if (!leavesNoWrite(k, head)) return false;
    }
    if (k.pages.refcount(head) !== 1 + pages) return false;
    deleteFromSwapCache(k, head);
    return free(k, head);
  }
  if (k.pages.test(head, PG_ANON)) return k.pages.refcount(head) === 1 && free(k, head);
  if (k.pages.mapping(head) === 0) return k.pages.refcount(head) === 1 && free(k, head);
  if (k.pages.refcount(head) !== 1 + pages) return false;
  const inode = k.pages.mapping(head);
  if (k.files.kind(inode) === INODE_DISK && k.pages.test(head, PG_DIRTY)) {
    // PG_reclaim: the page is to go when it has been written. The bit is PG_readahead's, so the next fault takes it for that.
    k.pages.mark(head, PG_READAHEAD);
    return false;
  }
  const written = leavesNoWrite(k, head);
  for (let i = 0; i < pages; i++) k.files.setCached(inode, k.pages.index(head) + i, swapped(k, head + i));
  const slot = k.files.cached(inode, k.pages.index(head));
  k.pages.setMapping(head, 0);
  if (pages === 1 && slot < 0 && !written) {
    // The page cache's reference becomes the swap cache's, where the page stays until it has been written and is reclaimed once more.
    k.swap.setCached(-slot, head);
    k.pages.setPrivate(head, -slot);
    k.pages.unmark(head, PG_DIRTY);
    k.pages.mark(head, PG_SWAPCACHE);
    return false;
  }
  k.pages.put(head, pages);
  return free(k, head);
}

/** swap_writeout(): a folio of zeroes is only marked as such (swap_zeromap_folio_set()), and can go at once. Inside a step. */
function leavesNoWrite(k: Kernel, head: number): boolean {
  if (!since(k.profile, 6, 12)) return false;
  const end = head + k.pages.pages(head);
  for (let pfn = head; pfn < end; pfn++) if (k.pages.content(pfn) !== 0) return false;
  return true;
}

/** shmem_writepage(): what the cache slot holds afterwards: a swap slot, negated, or 0 for a page that was never written. */
function swapped(k: Kernel, pfn: number): number {
  const head = k.pages.head(pfn);
  if (!isShmem(k, head) || (!k.pages.test(head, PG_DIRTY) && k.pages.content(pfn) === 0)) return 0;
  const slot = k.swap.alloc(k.pages.content(pfn));
  k.swap.get(slot);
  return -slot;
}

function free(k: Kernel, head: number): boolean {
  k.pages.unmark(head, PG_LOCKED);
  folioPut(k, head);
  return true;
}
