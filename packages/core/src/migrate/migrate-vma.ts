import { call, downRead, mightSleep, type Path, step, upRead } from "@mmu-notifier/steps";
import { EINVAL } from "../errno.js";
import { anonVmaPrepare } from "../fault/anon-vma-prepare.js";
import { folioTrylock } from "../fault/folio-lock.js";
import { lockPtl, unlockPtl } from "../fault/pte-map.js";
import { vmPageProtOf } from "../fault/vm-page-prot.js";
import { folioPut } from "../folio.js";
import { PAGE_SIZE } from "../geometry.js";
import { isHugeZeroPmd } from "../huge/huge-zero.js";
import { splitFolio } from "../huge/split-folio.js";
import { migrationEntry, splitHugePmd } from "../huge/split-huge-pmd.js";
import type { Kernel } from "../kernel.js";
import { since } from "../kernel-profile.js";
import { PG_ANON, PG_DIRTY, PG_LOCKED, PG_LRU } from "../page.js";
import { PMD_LEVEL, PTE_LEVEL, type Ptep } from "../page-table.js";
import { mkPte, type Pte, pteHugeLeaf, pteNone, ptePfn, ptePresent, pteSpecial } from "../pte.js";
import { removeMigrationPtes } from "../rmap/remove-migration.js";
import { folioAddNewAnonRmap, folioMapcount, folioRemoveRmap } from "../rmap/rmap.js";
import { tryToMigrate } from "../rmap/try-to-migrate.js";
import type { Thread } from "../thread.js";
import { flushTlbRange } from "../tlb/flush.js";
import { notifyUnderPtl, ptepClearFlush, ptepGetAndClear, setPteAt } from "../tlb/ptep.js";
import { VM_HUGETLB, VM_SPECIAL, VM_WRITE } from "../vma.js";
import { migrateFolioMove, migrateFolioUndo } from "./migrate-folio.js";

/** A page that is to be moved; `src` 0 is a hole that gets a fresh page. */
interface Moving {
  readonly vpn: number;
  readonly src: number;
}

/**
 * migrate_vma_setup(), _pages() and _finalize() of pages [start, end) of one anonymous VMA, by a driver with ordinary memory of its
 * own: what is mapped moves, what is not gets a page. Subscribers hear MIGRATE with the driver as `owner`; other mappings of the
 * pages are taken out with CLEAR.
 *
 * @returns pages moved, or -errno
 */
export function migrateVma(k: Kernel, t: Thread, start: number, end: number, owner: number): Path<number> {
  return call("migrate_vma_setup", migrate(k, t, start, end, owner));
}

function* migrate(k: Kernel, t: Thread, start: number, end: number, owner: number): Path<number> {
  const lock = k.mms.mmapLock(t.mm);
  yield downRead(lock);
  const vma = yield step("vma_lookup", () => {
    const at = k.vmas.lookup(k.mms.vmaList(t.mm), start);
    return at === 0 || k.vmas.end(at) < end || k.vmas.has(at, VM_SPECIAL | VM_HUGETLB) ? 0 : at;
  });
  const moved = vma === 0 ? -EINVAL : yield* migratePagesOf(k, t, vma, start, end, owner);
  yield upRead(lock);
  return moved;
}

function* migratePagesOf(k: Kernel, t: Thread, vma: number, start: number, end: number, owner: number): Path<number> {
  const range = {
    mm: t.mm,
    start: start * PAGE_SIZE,
    end: end * PAGE_SIZE,
    event: "MMU_NOTIFY_MIGRATE",
    owner,
  } as const;
  yield* k.bus.invalidateRangeStart(range);
  const collected: Moving[] = [];
  for (let at = start; at < end;) {
    const next = Math.min(end, at - (at % k.tables.hugePages) + k.tables.hugePages);
    yield* collect(k, t, vma, at, next, collected);
    at = next;
  }
  yield* k.bus.invalidateRangeEnd(range);
  const ready = yield* unmapOthers(k, t.cpu, collected);
  return yield* movePages(k, t, vma, ready, end, owner);
}

/** migrate_vma_collect_pmd(): locks each page and replaces its entry, with one flush for the block. */
function* collect(k: Kernel, t: Thread, vma: number, start: number, end: number, collected: Moving[]): Path {
  const { cpu, mm } = t;
  const skipped = yield* splitHuge(k, t, vma, start);
  if (skipped) return;
  const first = yield step("pte_offset_map_lock", () => k.tables.find(k.mms.pgd(mm), PTE_LEVEL, start));
  if (first === 0) {
    for (let vpn = start; vpn < end; vpn++) collected.push({ vpn, src: 0 });
    return;
  }
  yield lockPtl(k, first);
  let unmapped = false;
  for (let vpn = start; vpn < end; vpn++) {
    const ptep = first + (vpn - start);
    let src = yield step("migrate_vma_collect_pmd", () => collectable(k, ptep));
    if (src <= LARGE) {
      if (unmapped) yield* flushTlbRange(k, cpu, mm, start, end);
      unmapped = false;
      yield unlockPtl(k, first);
      const failed = yield* splitFolio(k, cpu, LARGE - src);
      yield step("folio_put", () => {
        folioPut(k, LARGE - src);
        return 0;
      });
      yield lockPtl(k, first);
      src = failed === 0 ? yield step("migrate_vma_collect_pmd", () => collectable(k, ptep)) : STAYS;
    }
    if (src < 0) continue;
    if (src === 0) collected.push({ vpn, src });
    else if (yield* collectEntry(k, cpu, mm, vpn, ptep, src)) {
      collected.push({ vpn, src });
      unmapped = true;
    }
  }
  if (unmapped) yield* flushTlbRange(k, cpu, mm, start, end);
  yield unlockPtl(k, first);
}

/** What a huge entry maps is split into pages first; true when that cannot be, and all of it stays. */
function* splitHuge(k: Kernel, t: Thread, vma: number, start: number): Path<boolean> {
  const head = yield step("pmd_trans_huge", () => {
    const pmdp = k.tables.find(k.mms.pgd(t.mm), PMD_LEVEL, start);
    const pmd = pmdp === 0 ? 0 : k.tables.get(pmdp);
    if (!pteHugeLeaf(pmd)) return NO_HUGE;
    if (isHugeZeroPmd(k, pmd)) return HUGE_ZERO;
    const folio = k.pages.head(ptePfn(pmd));
    k.pages.get(folio);
    return folio;
  });
  if (head === NO_HUGE) return false;
  if (head === HUGE_ZERO) {
    yield* splitHugePmd(k, t.cpu, vma, start);
    return false;
  }
  const failed = yield* splitFolio(k, t.cpu, head);
  yield step("folio_put", () => {
    folioPut(k, head);
    return 0;
  });
  return failed !== 0;
}

const NO_HUGE = -1;
const HUGE_ZERO = -2;
const STAYS = -1;
/** {@link collectable}: LARGE - head is a large folio, with a reference, that has to be split first. */
const LARGE = -2;

/** The page of an entry with a reference, 0 for a hole or the zero page, {@link STAYS}, or {@link LARGE}. */
function collectable(k: Kernel, ptep: Ptep): number {
  const pte = k.tables.get(ptep);
  if (pteNone(pte)) return 0;
  if (!ptePresent(pte)) return STAYS;
  if (pteSpecial(pte)) return ptePfn(pte) === k.pages.zeroPfn ? 0 : STAYS;
  const pfn = ptePfn(pte);
  if (!k.pages.test(pfn, PG_ANON)) return STAYS;
  const head = k.pages.head(pfn);
  if (k.pages.pages(head) > 1) {
    // Parts of a large folio that no huge entry maps stayed where they were before v6.19.
    if (!since(k.profile, 6, 19)) return STAYS;
    k.pages.get(head);
    return LARGE - head;
  }
  k.pages.get(pfn);
  return pfn;
}

function* collectEntry(k: Kernel, cpu: number, mm: number, vpn: number, ptep: Ptep, src: number): Path<boolean> {
  const locked = yield folioTrylock(k, src);
  const exclusive = yield step("PageAnonExclusive", () => (k.pages.anonExclusive(src) ? 1 : 0));
  if (locked !== 0) {
    const before =
      exclusive !== 0 && since(k.profile, 5, 19)
        ? yield* ptepClearFlush(k, cpu, mm, vpn, ptep)
        : yield ptepGetAndClear(k, ptep);
    const after = yield step("folio_try_share_anon_rmap_pte", () => {
      if (exclusive !== 0 && k.pages.pincount(src) > 0) return before;
      if (k.pte.dirty(before)) k.pages.mark(src, PG_DIRTY);
      k.pages.setAnonExclusive(src, false);
      return migrationEntry(k, before, src, exclusive !== 0);
    });
    yield setPteAt(k, mm, vpn, ptep, after);
    if (after !== before) {
      yield step("folio_remove_rmap_pte", () => {
        k.pages.unmark(src, PG_LRU);
        folioRemoveRmap(k, src);
        k.pages.put(src);
        return 0;
      });
      return true;
    }
  }
  yield step("folio_unlock, folio_put", () => {
    if (locked !== 0) k.pages.unmark(src, PG_LOCKED);
    k.pages.put(src);
    return 0;
  });
  return false;
}

/** migrate_vma_unmap(): pages that others map too are taken out there; those that are in use otherwise are put back. */
function* unmapOthers(k: Kernel, cpu: number, collected: readonly Moving[]): Path<Moving[]> {
  const ready: Moving[] = [];
  for (const moving of collected) {
    const { src } = moving;
    if (src === 0) {
      ready.push(moving);
      continue;
    }
    const mapped = yield step("folio_mapped", () => folioMapcount(k, src));
    if (mapped !== 0) yield* tryToMigrate(k, cpu, src);
    const free = yield step("migrate_vma_check_page", () =>
      folioMapcount(k, src) === 0 && k.pages.refcount(src) === 1 ? 1 : 0,
    );
    if (free !== 0) ready.push(moving);
    else yield* putBack(k, cpu, src);
  }
  return ready;
}

function* putBack(k: Kernel, cpu: number, src: number): Path {
  yield* removeMigrationPtes(k, cpu, src, src);
  yield step("folio_putback_lru", () => {
    k.pages.unmark(src, PG_LOCKED);
    k.pages.mark(src, PG_LRU);
    k.pages.put(src);
    return 0;
  });
}

/** migrate_vma_pages() and migrate_vma_finalize(). Filling the first hole announces everything from there on. */
function* movePages(
  k: Kernel,
  t: Thread,
  vma: number,
  ready: readonly Moving[],
  end: number,
  owner: number,
): Path<number> {
  let moved = 0;
  let range: { mm: number; start: number; end: number; event: "MMU_NOTIFY_MIGRATE"; owner: number } | undefined;
  const copies: { readonly src: number; readonly dst: number }[] = [];
  for (const { vpn, src } of ready) {
    yield mightSleep("alloc_page_vma");
    const dst = yield step("alloc_page_vma", () => k.pages.alloc(0, PG_LOCKED));
    if (src !== 0) {
      copies.push({ src, dst });
      continue;
    }
    if (range === undefined) {
      range = { mm: t.mm, start: vpn * PAGE_SIZE, end: end * PAGE_SIZE, event: "MMU_NOTIFY_MIGRATE", owner };
      yield* k.bus.invalidateRangeStart(range);
    }
    if (yield* insertPage(k, t, vma, vpn, dst)) moved++;
  }
  if (range !== undefined) yield* k.bus.invalidateRangeEnd(range, k.profile.hookFromRangeEnd);
  for (const { src, dst } of copies) {
    if ((yield* migrateFolioMove(k, t.cpu, src, dst)) === 0) moved++;
    else yield* migrateFolioUndo(k, t.cpu, src, dst);
  }
  return moved;
}

/** migrate_vma_insert_page(): a fresh page where nothing or the zero page is mapped. */
function* insertPage(k: Kernel, t: Thread, vma: number, vpn: number, page: number): Path<boolean> {
  const ptep = yield step("pte_alloc", () => {
    anonVmaPrepare(k, vma);
    return k.tables.findOrCreate(k.mms.pgd(t.mm), PTE_LEVEL, vpn);
  });
  let inserted = false;
  if (ptep !== 0) {
    yield lockPtl(k, ptep);
    const before = yield step("pte_none", () => k.tables.get(ptep));
    const zero = ptePresent(before) && pteSpecial(before);
    inserted = zero || pteNone(before);
    if (inserted) {
      const entry: Pte = yield step("folio_add_new_anon_rmap", () => {
        folioAddNewAnonRmap(k, page, vma, vpn);
        const fresh = mkPte(page, vmPageProtOf(k, vma));
        return k.vmas.has(vma, VM_WRITE) ? k.pte.mkwrite(k.pte.mkdirty(fresh)) : fresh;
      });
      if (zero) {
        yield* ptepClearFlush(k, t.cpu, t.mm, vpn, ptep);
        yield* notifyUnderPtl(k, t.mm, vpn, 1);
      }
      yield setPteAt(k, t.mm, vpn, ptep, entry);
    }
    yield unlockPtl(k, ptep);
  }
  yield step("folio_unlock", () => {
    k.pages.unmark(page, PG_LOCKED);
    if (!inserted) folioPut(k, page);
    return 0;
  });
  return inserted;
}
