import { call, type Path, step } from "@mmu-notifier/steps";
import { folioPut } from "../folio.js";
import type { Kernel } from "../kernel.js";
import { since } from "../kernel-profile.js";
import { folioTrylock } from "../fault/folio-lock.js";
import { splitLockedFolio } from "../huge/split-folio.js";
import { PG_ANON, PG_HUGETLB, PG_LOCKED, PG_LRU } from "../page.js";
import { TlbUnmapBatch, tryToUnmapFlush } from "../tlb/unmap-batch.js";
import { migrateFolioMove, migrateFolioUndo, migrateFolioUnmap } from "./migrate-folio.js";

/** NR_MAX_MIGRATE_PAGES_RETRY, and its halves since v6.3: first all folios together, then one by one. */
const PASSES = 10;
const ASYNC_PASSES = 3;
const SYNC_PASSES = 7;

/** folio_isolate_lru(): takes a folio off the LRU with a reference; false when it is not there. Inside a step. */
export function folioIsolateLru(k: Kernel, head: number): boolean {
  if (!k.pages.test(head, PG_LRU) && !k.pages.test(head, PG_HUGETLB)) return false;
  k.pages.unmark(head, PG_LRU);
  k.pages.get(head);
  return true;
}

/** putback_movable_pages(): as a step. */
export function putback(k: Kernel, head: number) {
  return step("putback_movable_pages", () => {
    k.pages.mark(head, PG_LRU);
    folioPut(k, head);
    return 0;
  });
}

/**
 * migrate_pages(): moves isolated folios to `node`, in the list's order. A folio that is pinned is tried again and again, and each
 * try takes its entries out under a notification. What stays goes back to the LRU.
 *
 * @returns folios that were not moved
 */
export function migratePages(k: Kernel, cpu: number, folios: readonly number[], node: number): Path<number> {
  return call("migrate_pages", migrate(k, cpu, folios, node));
}

function* migrate(k: Kernel, cpu: number, folios: readonly number[], node: number): Path<number> {
  const left: number[] = [];
  if (since(k.profile, 6, 3)) {
    const others = yield* migrateHugetlbs(k, cpu, folios, node);
    for (let done = 0; done < others.length;) {
      const batch = yield* nextBatch(k, others, done);
      left.push(...(yield* migrateSync(k, cpu, batch, node)));
      done += batch.length;
    }
  } else {
    let again: readonly number[] = folios;
    for (let pass = 0; pass < PASSES && again.length > 0; pass++) again = yield* unmapAndMoveEach(k, cpu, again, node);
    left.push(...again);
  }
  for (const folio of left) yield putback(k, folio);
  return left.length;
}

/** Folios from `done` on until they have the pages of a huge page: NR_MAX_BATCHED_MIGRATION. */
function* nextBatch(k: Kernel, folios: readonly number[], done: number): Path<readonly number[]> {
  let pages = 0;
  let end = done;
  while (end < folios.length && pages < k.tables.hugePages) {
    const folio = folios[end]!;
    pages += yield step("folio_nr_pages", () => k.pages.pages(folio));
    end++;
  }
  return folios.slice(done, end);
}

/** migrate_pages_sync(): all together, then one by one what stayed, then the parts of what had to be split. Returns those that stayed. */
function* migrateSync(k: Kernel, cpu: number, folios: readonly number[], node: number): Path<number[]> {
  const parts: number[] = [];
  const left: number[] = [];
  const stayed = yield* migrateBatch(k, cpu, folios, node, ASYNC_PASSES, parts);
  for (const folio of stayed) left.push(...(yield* migrateBatch(k, cpu, [folio], node, SYNC_PASSES, parts)));
  if (parts.length > 0) left.push(...(yield* migrateBatch(k, cpu, parts, node, 1)));
  return left;
}

/** migrate_hugetlbs(): huge pages go one at a time; returns what is not hugetlb, and what could not be moved goes back. */
function* migrateHugetlbs(k: Kernel, cpu: number, folios: readonly number[], node: number): Path<number[]> {
  const others: number[] = [];
  let hugetlbs: number[] = [];
  for (const folio of folios) {
    const hugetlb = yield step("folio_test_hugetlb", () => (k.pages.test(folio, PG_HUGETLB) ? 1 : 0));
    (hugetlb !== 0 ? hugetlbs : others).push(folio);
  }
  for (let pass = 0; pass < PASSES && hugetlbs.length > 0; pass++)
    hugetlbs = yield* unmapAndMoveEach(k, cpu, hugetlbs, node);
  for (const folio of hugetlbs) yield putback(k, folio);
  return others;
}

/**
 * A large folio of which pages are no longer mapped is split first (it waits on the deferred split queue): its parts move by
 * themselves, the first last. Since v6.10. Returns true if it was split.
 */
function* splitPartlyMapped(k: Kernel, cpu: number, folio: number, parts: number[]): Path<boolean> {
  if (!since(k.profile, 6, 10)) return false;
  const pages = yield step("folio_test_partially_mapped", () => (partlyMapped(k, folio) ? k.pages.pages(folio) : 0));
  if (pages === 0 || (yield folioTrylock(k, folio)) === 0) return false;
  const failed = yield* splitLockedFolio(k, cpu, folio, { toList: true });
  yield step("folio_unlock", () => {
    k.pages.unmark(folio, PG_LOCKED);
    return 0;
  });
  if (failed !== 0) return false;
  for (let pfn = folio + 1; pfn < folio + pages; pfn++) parts.push(pfn);
  parts.push(folio);
  return true;
}

/** "Folio was freed from under us": pages of zeros gave way to the zero page when the folio was split. */
function freedMeanwhile(k: Kernel, pfn: number) {
  return step("folio_ref_count", () => {
    if (k.pages.refcount(pfn) !== 1) return 0;
    folioPut(k, pfn);
    return 1;
  });
}

function partlyMapped(k: Kernel, head: number): boolean {
  const pages = k.pages.pages(head);
  if (pages === 1 || !k.pages.test(head, PG_ANON)) return false;
  for (let pfn = head; pfn < head + pages; pfn++) if (k.pages.totalMapcount(pfn) === 0) return true;
  return false;
}

/** unmap_and_move() of each folio; returns those to try again. */
function* unmapAndMoveEach(k: Kernel, cpu: number, folios: readonly number[], node: number): Path<number[]> {
  const again: number[] = [];
  for (const src of folios) {
    const dst = yield* migrateFolioUnmap(k, cpu, src, node);
    if (dst < 0) again.push(src);
    else if ((yield* migrateFolioMove(k, cpu, src, dst)) !== 0) {
      yield* migrateFolioUndo(k, cpu, src, dst);
      again.push(src);
    }
  }
  return again;
}

/**
 * migrate_pages_batch(): all are unmapped first, the TLBs are flushed once, then all are moved. Returns those that stayed; parts of
 * split folios go to `parts`.
 */
function* migrateBatch(
  k: Kernel,
  cpu: number,
  folios: readonly number[],
  node: number,
  passes: number,
  parts?: number[],
): Path<number[]> {
  const batch = new TlbUnmapBatch();
  const unmapped: { readonly src: number; readonly dst: number }[] = [];
  let left: readonly number[] = folios;
  for (let pass = 0; pass < passes && left.length > 0; pass++) {
    const again: number[] = [];
    for (const src of left) {
      if (parts !== undefined && (yield* splitPartlyMapped(k, cpu, src, parts))) continue;
      if ((yield freedMeanwhile(k, src)) !== 0) continue;
      const dst = yield* migrateFolioUnmap(k, cpu, src, node, batch);
      if (dst < 0) again.push(src);
      else unmapped.push({ src, dst });
    }
    left = again;
  }
  yield* tryToUnmapFlush(k, cpu, batch);
  let moving = unmapped;
  for (let pass = 0; pass < passes && moving.length > 0; pass++) {
    const again: typeof moving = [];
    for (const pair of moving) if ((yield* migrateFolioMove(k, cpu, pair.src, pair.dst)) !== 0) again.push(pair);
    moving = again;
  }
  for (const { src, dst } of moving) yield* migrateFolioUndo(k, cpu, src, dst);
  return [...left, ...moving.map(({ src }) => src)];
}
