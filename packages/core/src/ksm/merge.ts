import { call, type Path, step } from "@mmu-notifier/steps";
import { folioTrylock } from "../fault/folio-lock.js";
import { lockPtl, unlockPtl } from "../fault/pte-map.js";
import { vmPageProtOf } from "../fault/vm-page-prot.js";
import { folioPut, freeSwapCache } from "../folio.js";
import { PAGE_SIZE } from "../geometry.js";
import { splitLockedFolio } from "../huge/split-folio.js";
import type { Kernel } from "../kernel.js";
import { PG_DIRTY, PG_KSM, PG_LOCKED, PG_SWAPCACHE } from "../page.js";
import { PTE_LEVEL, type Ptep } from "../page-table.js";
import { mkPte, type Pte, ptePfn, ptePresent, pteWrite } from "../pte.js";
import { folioAddRmap, folioMapcount, folioRemoveRmap } from "../rmap/rmap.js";
import { ptepClearFlush, setPteAt } from "../tlb/ptep.js";

/** Where an anonymous page is mapped. */
export interface KsmPlace {
  readonly vma: number;
  readonly mm: number;
  readonly vpn: number;
}

/**
 * try_to_merge_one_page(): makes the page at `place` read-only, and lets merged page `kpage` take its place; with 0 the page itself
 * becomes a merged one. Two notifications, one for each half. mmap_lock held for reading.
 *
 * @returns the merged page, or 0 when the page is in use by somebody else
 */
export function tryToMergeOnePage(k: Kernel, cpu: number, place: KsmPlace, page: number, kpage: number): Path<number> {
  return call("try_to_merge_one_page", mergeOne(k, cpu, place, page, kpage));
}

function* mergeOne(k: Kernel, cpu: number, place: KsmPlace, page: number, kpage: number): Path<number> {
  yield step("folio_get", () => {
    k.pages.get(page);
    return 0;
  });
  let merged = 0;
  const head = yield step("compound_head", () => k.pages.head(page));
  if ((yield folioTrylock(k, head)) !== 0) {
    const split = head === page ? yield* splitLockedFolio(k, cpu, page) : -1;
    if (split === 0) merged = yield* mergeLocked(k, cpu, place, page, kpage);
    yield step("folio_unlock", () => {
      k.pages.unmark(head, PG_LOCKED);
      return 0;
    });
  }
  yield step("folio_put", () => {
    freeSwapCache(k, page);
    folioPut(k, page);
    return 0;
  });
  return merged;
}

function* mergeLocked(k: Kernel, cpu: number, place: KsmPlace, page: number, kpage: number): Path<number> {
  const protectedPte = yield* call("write_protect_page", writeProtectPage(k, cpu, place, page));
  if (protectedPte === 0) return 0;
  if (kpage === 0) {
    yield step("folio_set_stable_node", () => {
      k.pages.mark(page, PG_KSM | PG_DIRTY);
      return 0;
    });
    return page;
  }
  const same = yield step("pages_identical", () =>
    k.pages.content(page) === k.pages.content(kpage) && k.pages.isLive(kpage) ? 1 : 0,
  );
  if (same === 0) return 0;
  return (yield* call("replace_page", replacePage(k, cpu, place, page, kpage, protectedPte))) ? kpage : 0;
}

function rangeOf({ mm, vpn }: KsmPlace) {
  return { mm, start: vpn * PAGE_SIZE, end: (vpn + 1) * PAGE_SIZE, event: "MMU_NOTIFY_CLEAR" } as const;
}

/** The entry that maps `page` at the place, or 0. */
function entryOf(k: Kernel, { mm, vpn }: KsmPlace, page: number): Ptep {
  const ptep = k.tables.find(k.mms.pgd(mm), PTE_LEVEL, vpn);
  const pte = ptep === 0 ? 0 : k.tables.get(ptep);
  return ptePresent(pte) && ptePfn(pte) === page ? ptep : 0;
}

/** set_pte_at_notify(): in kernels with change_pte the new entry is told before it is stored. */
function* setPteAtNotify(k: Kernel, { mm, vpn }: KsmPlace, ptep: Ptep, pte: Pte): Path {
  if (k.profile.hasChangePte) yield* k.bus.changePte(mm, vpn * PAGE_SIZE, pte);
  yield setPteAt(k, mm, vpn, ptep, pte);
}

/** The entry as it is now, read-only; 0 when the page has other users and was left as it was. */
function* writeProtectPage(k: Kernel, cpu: number, place: KsmPlace, page: number): Path<Pte> {
  const { mm, vpn } = place;
  const range = rangeOf(place);
  yield* k.bus.invalidateRangeStart(range);
  let result = 0;
  const ptep = yield step("page_vma_mapped_walk", () => entryOf(k, place, page));
  if (ptep !== 0) {
    yield lockPtl(k, ptep);
    const open = yield step("pte_write || PageAnonExclusive", () => needsProtection(k, mm, ptep, page));
    if (open === 0) result = yield step("ptep_get", () => k.tables.get(ptep));
    else {
      const before = yield* ptepClearFlush(k, cpu, mm, vpn, ptep);
      const after = yield step("pte_mkclean(pte_wrprotect)", () => protectable(k, page, before));
      if (after === BUSY) yield setPteAt(k, mm, vpn, ptep, before);
      else {
        yield* setPteAtNotify(k, place, ptep, after);
        result = after;
      }
    }
    yield unlockPtl(k, ptep);
  }
  yield* k.bus.invalidateRangeEnd(range);
  return result;
}

function needsProtection(k: Kernel, mm: number, ptep: Ptep, page: number): number {
  const pte = k.tables.get(ptep);
  return pteWrite(pte) || k.pte.dirty(pte) || k.pages.anonExclusive(page) || k.mms.tlbFlushPending(mm) > 0 ? 1 : 0;
}

/** Somebody holds the page who may write to it. */
const BUSY = 0;

/** The read-only entry, or {@link BUSY}. */
function protectable(k: Kernel, page: number, before: Pte): Pte {
  // References: the mappings, ours, the swap cache's.
  const expected = folioMapcount(k, page) + 1 + (k.pages.test(page, PG_SWAPCACHE) ? 1 : 0);
  if (k.pages.refcount(page) !== expected || (k.pages.anonExclusive(page) && k.pages.pincount(page) > 0)) return BUSY;
  k.pages.setAnonExclusive(page, false);
  if (k.pte.dirty(before)) k.pages.mark(page, PG_DIRTY);
  return k.pte.mkclean(k.pte.wrprotect(before));
}

function* replacePage(
  k: Kernel,
  cpu: number,
  place: KsmPlace,
  page: number,
  kpage: number,
  expected: Pte,
): Path<boolean> {
  const { mm, vpn, vma } = place;
  const range = rangeOf(place);
  yield* k.bus.invalidateRangeStart(range);
  const ptep = yield step("pte_offset_map_lock", () => k.tables.find(k.mms.pgd(mm), PTE_LEVEL, vpn));
  let replaced = 0;
  if (ptep !== 0) {
    yield lockPtl(k, ptep);
    replaced = yield step("pte_same", () => {
      if (k.tables.get(ptep) !== expected) return 0;
      k.pages.get(kpage);
      folioAddRmap(k, kpage);
      return 1;
    });
    if (replaced !== 0) {
      const entry = yield step("mk_pte", () => mkPte(kpage, vmPageProtOf(k, vma)));
      yield* ptepClearFlush(k, cpu, mm, vpn, ptep);
      yield* setPteAtNotify(k, place, ptep, entry);
      yield step("folio_remove_rmap_pte", () => {
        folioRemoveRmap(k, page);
        folioPut(k, page);
        return 0;
      });
    }
    yield unlockPtl(k, ptep);
  }
  yield* k.bus.invalidateRangeEnd(range);
  return replaced !== 0;
}
