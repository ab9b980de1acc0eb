import { call, type Path, step } from "@mmu-notifier/steps";
import { lockPtl, unlockPtl } from "../fault/pte-map.js";
import { folioPut } from "../folio.js";
import { PAGE_SIZE } from "../geometry.js";
import { migrationEntry, splitHugePmd, splitHugePmdLocked } from "../huge/split-huge-pmd.js";
import type { Kernel } from "../kernel.js";
import { since } from "../kernel-profile.js";
import { PG_ANON, PG_DIRTY, PG_HUGETLB } from "../page.js";
import { PMD_LEVEL, PTE_LEVEL, type Ptep } from "../page-table.js";
import { type Pte, ptePfn } from "../pte.js";
import { contpteTryUnfold } from "../tlb/contpte.js";
import { hugePtepClearFlush, pmdpInvalidate, ptepClearFlush, ptepGetAndClear, setPteAt } from "../tlb/ptep.js";
import { setTlbUbcFlushPending, shouldDeferFlush, type TlbUnmapBatch } from "../tlb/unmap-batch.js";
import { MAPPED_HUGE, mappedAt, NOT_MAPPED } from "./page-vma-mapped.js";
import { folioMapcount, folioRemoveRmap, folioRemoveRmapEntire } from "./rmap.js";
import { type RmapLocking, type RmapTarget, rmapWalk } from "./rmap-walk.js";

/** TTU_ flags of a migration. */
export interface MigrateFlags {
  /** Flushes may be put off (TTU_BATCH_FLUSH). */
  readonly batch?: TlbUnmapBatch;
  /** The folio is about to be split: huge entries become tables of migration entries (TTU_SPLIT_HUGE_PMD). */
  readonly splitHugePmd?: boolean;
  readonly locking?: RmapLocking;
}

/**
 * try_to_migrate(): replaces every entry that maps the locked folio by a migration entry. Faults wait there. A page that a
 * pinner has for itself stays mapped; the caller sees that in the map count.
 */
export function tryToMigrate(k: Kernel, cpu: number, head: number, flags: MigrateFlags = {}): Path {
  return call("try_to_migrate", migrate(k, cpu, head, flags));
}

function migrate(k: Kernel, cpu: number, head: number, flags: MigrateFlags): Path {
  return rmapWalk(k, head, (target) => migrateVma(k, cpu, head, target, flags), flags.locking);
}

/** One VMA of the walk, which goes on while anybody maps the folio. */
function* migrateVma(k: Kernel, cpu: number, head: number, target: RmapTarget, flags: MigrateFlags): Path<boolean> {
  if (!(yield* call("try_to_migrate_one", migrateOne(k, cpu, head, target, flags)))) return false;
  return (yield step("folio_mapped", () => folioMapcount(k, head))) !== 0;
}

/** The folio's split had a range of its own in front of this one until the walk learnt to do it. */
const splitsInOwnRange = (k: Kernel): boolean => !since(k.profile, 6, 16);

function* migrateOne(k: Kernel, cpu: number, head: number, target: RmapTarget, flags: MigrateFlags): Path<boolean> {
  const { mm, vma, start, end } = target;
  if (flags.splitHugePmd === true && splitsInOwnRange(k)) yield* splitHugePmd(k, cpu, vma, start, true);
  const range = { mm, start: start * PAGE_SIZE, end: end * PAGE_SIZE, event: "MMU_NOTIFY_CLEAR" } as const;
  yield* k.bus.invalidateRangeStart(range);
  const goesOn = yield* entries(k, cpu, head, target, flags);
  yield* k.bus.invalidateRangeEnd(range);
  return goesOn;
}

function* entries(k: Kernel, cpu: number, head: number, target: RmapTarget, flags: MigrateFlags): Path<boolean> {
  const { mm, vma, start, end } = target;
  for (let at = start; at < end;) {
    const from = at;
    const found = yield step("page_vma_mapped_walk", () => mappedAt(k, mm, head, from, end, false));
    if (found === NOT_MAPPED) return true;
    const huge = found >= MAPPED_HUGE;
    const vpn = huge ? found - MAPPED_HUGE : found;
    const ptep = yield step("pte_offset_map", () => k.tables.find(k.mms.pgd(mm), huge ? PMD_LEVEL : PTE_LEVEL, vpn));
    yield lockPtl(k, ptep);
    const same = yield step("check_pte", () => (mappedAt(k, mm, head, vpn, end, false) === found ? 1 : 0));
    let kept = false;
    const splits = huge && flags.splitHugePmd === true;
    if (same !== 0) {
      if (splits) yield* splitHugePmdLocked(k, cpu, mm, vma, vpn, ptep, true);
      else kept = !(yield* migrateEntry(k, cpu, mm, vpn, ptep, huge, flags));
    }
    yield unlockPtl(k, ptep);
    if (kept) return false;
    at = vpn + (huge ? k.tables.hugePages : 1);
  }
  return true;
}

/** One entry, under its PTL; false when the page is pinned and was put back. */
function* migrateEntry(
  k: Kernel,
  cpu: number,
  mm: number,
  vpn: number,
  ptep: Ptep,
  huge: boolean,
  flags: MigrateFlags,
): Path<boolean> {
  const hugetlb = huge
    ? yield step("folio_test_hugetlb", () => (k.pages.test(ptePfn(k.tables.get(ptep)), PG_HUGETLB) ? 1 : 0))
    : 0;
  let before: Pte;
  if (hugetlb !== 0) before = yield* hugePtepClearFlush(k, cpu, mm, vpn, ptep);
  else if (huge) before = yield* pmdpInvalidate(k, cpu, mm, vpn, ptep);
  else if (flags.batch !== undefined && since(k.profile, 6, 3) && (yield* shouldDeferFlush(k, cpu, mm))) {
    yield* contpteTryUnfold(k, cpu, mm, vpn, ptep);
    before = yield ptepGetAndClear(k, ptep);
    yield* setTlbUbcFlushPending(k, cpu, mm, flags.batch, before, vpn);
  } else before = yield* ptepClearFlush(k, cpu, mm, vpn, ptep);
  const after = yield step("make_migration_entry", () => replacement(k, before));
  yield setPteAt(k, mm, vpn, ptep, after);
  if (after === before) return false;
  yield step("folio_remove_rmap", () => {
    const pfn = ptePfn(before);
    if (huge) folioRemoveRmapEntire(k, pfn);
    else folioRemoveRmap(k, pfn);
    folioPut(k, pfn);
    return 0;
  });
  return true;
}

/** The migration entry, or the entry itself when the page is exclusive to a pinner: folio_try_share_anon_rmap_pte(). */
function replacement(k: Kernel, before: Pte): Pte {
  const pfn = ptePfn(before);
  if (k.pte.dirty(before)) k.pages.mark(pfn, PG_DIRTY);
  const exclusive = k.pages.test(pfn, PG_ANON) && k.pages.anonExclusive(pfn);
  if (exclusive && k.pages.pincount(pfn) > 0) return before;
  if (exclusive) k.pages.setAnonExclusive(pfn, false);
  return migrationEntry(k, before, pfn, exclusive);
}
