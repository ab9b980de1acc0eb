import { call, type Path, step } from "@mmu-notifier/steps";
import { PAGE_SIZE } from "../geometry.js";
import type { Kernel } from "../kernel.js";
import { since } from "../kernel-profile.js";
import { PG_DIRTY } from "../page.js";
import { PMD_LEVEL, PTE_LEVEL, type Ptep } from "../page-table.js";
import {
  isMigrationEntry,
  mkPte,
  mkSwp,
  mkTable,
  type Pte,
  PTE_SOFT_DIRTY,
  PTE_UFFD_WP,
  pteHugeLeaf,
  pteMkold,
  pteMksoftDirty,
  pteMkspecial,
  pteMkuffdWp,
  pteMkyoung,
  ptePfn,
  pteSpecial,
  pteWrite,
  pteYoung,
  SWP_EXCLUSIVE,
  SWP_MIGRATION_DIRTY,
  SWP_MIGRATION_READ,
  SWP_MIGRATION_READ_EXCLUSIVE,
  SWP_MIGRATION_WRITE,
  SWP_MIGRATION_YOUNG,
  swpOffset,
  swpType,
} from "../pte.js";
import { folioRemoveRmapEntire } from "../rmap/rmap.js";
import { foldFresh } from "../tlb/contpte.js";
import { pmdpHugeClearFlush, pmdpHugeClearFlushNotify, pmdpInvalidate } from "../tlb/ptep.js";
import { lockPtl, unlockPtl } from "../fault/pte-map.js";
import { vmaKind, vmPageProtOf } from "../fault/vm-page-prot.js";
import { hugeBase, isHugeZeroPmd } from "./huge-zero.js";

const NOTHING = 0;
const FILE = 1;
const ZERO = 2;
const ANON = 3;
const MIGRATION = 4;

/**
 * __split_huge_pmd(): replaces the huge entry around `vpn` by a table that maps the same pages. The whole block is announced
 * before anybody looks whether there is a huge entry at all. A file's pages are simply unmapped. Any lock that keeps the VMA
 * may be held; not the PTL.
 */
export function splitHugePmd(k: Kernel, cpu: number, vma: number, vpn: number, freeze = false): Path {
  return call("__split_huge_pmd", split(k, cpu, vma, vpn, freeze));
}

function* split(k: Kernel, cpu: number, vma: number, vpn: number, freeze: boolean): Path {
  const mm = yield step("vma->vm_mm", () => k.vmas.mm(vma));
  const base = hugeBase(k, vpn);
  const range = {
    mm,
    start: base * PAGE_SIZE,
    end: (base + k.tables.hugePages) * PAGE_SIZE,
    event: "MMU_NOTIFY_CLEAR",
  } as const;
  yield* k.bus.invalidateRangeStart(range);
  const pmdp = yield step("pmd_offset", () => k.tables.find(k.mms.pgd(mm), PMD_LEVEL, vpn));
  if (pmdp !== 0) {
    yield lockPtl(k, pmdp);
    yield* splitHugePmdLocked(k, cpu, mm, vma, vpn, pmdp, freeze);
    yield unlockPtl(k, pmdp);
  }
  yield* k.bus.invalidateRangeEnd(range, k.profile.hookFromRangeEnd);
}

/**
 * split_huge_pmd_locked(): the split itself, under the lock of the PMD table, inside a range that the caller announced.
 *
 * @param freeze the new table holds migration entries, for a split of the folio itself; not if the folio is pinned
 */
export function* splitHugePmdLocked(
  k: Kernel,
  cpu: number,
  mm: number,
  vma: number,
  vpn: number,
  pmdp: Ptep,
  freeze = false,
): Path {
  const what = yield step("pmd_trans_huge", () => classify(k, vma, k.tables.get(pmdp)));
  if (what === NOTHING) return;
  const base = hugeBase(k, vpn);
  if (what === FILE) {
    const before = yield* pmdpHugeClearFlushNotify(k, cpu, mm, base, pmdp);
    yield step("folio_remove_rmap_pmd", () => dropFilePmd(k, before));
    return;
  }
  if (what === ZERO) {
    const before = yield* pmdpHugeClearFlush(k, cpu, mm, base, pmdp);
    yield step("pmd_populate", () => populateZero(k, vma, pmdp, before));
    return;
  }
  if (what === MIGRATION) {
    yield step("pmd_populate", () => populateMigration(k, pmdp));
    return;
  }
  const before = yield* pmdpInvalidate(k, cpu, mm, base, pmdp);
  yield step("pmd_populate", () =>
    freeze && mayFreeze(k, before) ? populateFrozen(k, pmdp, before) : populateAnon(k, vma, pmdp, before),
  );
}

function classify(k: Kernel, vma: number, pmd: Pte): number {
  if (isMigrationEntry(pmd)) return MIGRATION;
  if (!pteHugeLeaf(pmd)) return NOTHING;
  if (vmaKind(k, vma) !== 0) return FILE;
  return isHugeZeroPmd(k, pmd) ? ZERO : ANON;
}

function dropFilePmd(k: Kernel, pmd: Pte): number {
  if (pteSpecial(pmd)) return 0;
  const pfn = ptePfn(pmd);
  if (k.pte.dirty(pmd)) k.pages.mark(pfn, PG_DIRTY);
  folioRemoveRmapEntire(k, pfn);
  k.pages.put(pfn);
  return 0;
}

/** Fills a new table and lets it take the huge entry's place in one store. */
function publish(k: Kernel, pmdp: Ptep, entryAt: (i: number) => Pte): number {
  const table = k.tables.create(PTE_LEVEL);
  const first = k.tables.ptepIn(table, PTE_LEVEL, 0);
  for (let i = 0; i < k.tables.hugePages; i++) k.tables.set(first + i, entryAt(i));
  k.tables.set(pmdp, mkTable(table));
  return table;
}

function populateZero(k: Kernel, vma: number, pmdp: Ptep, pmd: Pte): number {
  const zero = pteMkspecial(mkPte(k.pages.zeroPfn, vmPageProtOf(k, vma)));
  const entry = (pmd & PTE_UFFD_WP) !== 0 ? pteMkuffdWp(zero) : zero;
  publish(k, pmdp, () => entry);
  return 0;
}

function populateMigration(k: Kernel, pmdp: Ptep): number {
  const pmd = k.tables.get(pmdp);
  const flags = pmd & (PTE_UFFD_WP | PTE_SOFT_DIRTY | SWP_EXCLUSIVE | SWP_MIGRATION_YOUNG | SWP_MIGRATION_DIRTY);
  const head = swpOffset(pmd);
  publish(k, pmdp, (i) => mkSwp(swpType(pmd), head + i, flags));
  return 0;
}

/** folio_try_share_anon_rmap_pmd(): a page that is exclusive to a pinner stays mapped. */
function mayFreeze(k: Kernel, pmd: Pte): boolean {
  return k.pages.pincount(ptePfn(pmd)) === 0 || !k.pages.anonExclusive(ptePfn(pmd));
}

/** Migration entries for the parts of the folio; they hold neither references nor map counts. */
function populateFrozen(k: Kernel, pmdp: Ptep, pmd: Pte): number {
  const head = ptePfn(pmd);
  if (k.pte.dirty(pmd)) k.pages.mark(head, PG_DIRTY);
  const exclusive = k.pages.anonExclusive(head);
  publish(k, pmdp, (i) => migrationEntry(k, pmd, head + i, exclusive));
  k.pages.setAnonExclusive(head, false);
  folioRemoveRmapEntire(k, head);
  k.pages.put(head);
  return 0;
}

/** The migration entry that stands for present entry `pte` while page `pfn` is under way. Inside a step. */
export function migrationEntry(k: Kernel, pte: Pte, pfn: number, exclusive: boolean): Pte {
  const type = pteWrite(pte) ? SWP_MIGRATION_WRITE : exclusive ? SWP_MIGRATION_READ_EXCLUSIVE : SWP_MIGRATION_READ;
  const age = since(k.profile, 6, 1)
    ? (pteYoung(pte) ? SWP_MIGRATION_YOUNG : 0) | (k.pte.dirty(pte) ? SWP_MIGRATION_DIRTY : 0)
    : 0;
  return mkSwp(type, pfn, age | (pte & (PTE_UFFD_WP | PTE_SOFT_DIRTY)));
}

function populateAnon(k: Kernel, vma: number, pmdp: Ptep, pmd: Pte): number {
  const head = ptePfn(pmd);
  const prot = vmPageProtOf(k, vma);
  const vmFlags = k.vmas.flags(vma);
  if (k.pte.dirty(pmd)) k.pages.mark(head, PG_DIRTY);
  k.pages.get(head, k.tables.hugePages - 1);
  publish(k, pmdp, (i) => foldFresh(k, subEntry(k, vmFlags, pmd, head + i, prot)));
  mapSubpages(k, head, k.pages.anonExclusive(head));
  return 0;
}

/**
 * One base entry with the rights of the huge one. Up to v6.3 every entry of a writable VMA was made writable first and
 * protected again, and the dirty bit stayed behind with the folio.
 */
function subEntry(k: Kernel, vmFlags: number, pmd: Pte, pfn: number, prot: Pte): Pte {
  const fresh = mkPte(pfn, prot);
  let entry = pteYoung(pmd) ? pteMkyoung(fresh) : pteMkold(fresh);
  if (since(k.profile, 6, 4)) {
    if (pteWrite(pmd)) entry = k.pte.mkwrite(entry);
    if (k.pte.dirty(pmd)) entry = k.pte.mkdirty(entry);
  } else {
    entry = k.pte.maybeMkwrite(entry, vmFlags);
    if (!pteWrite(pmd)) entry = k.pte.wrprotect(entry);
  }
  if ((pmd & PTE_SOFT_DIRTY) !== 0) entry = pteMksoftDirty(entry);
  return (pmd & PTE_UFFD_WP) !== 0 ? pteMkuffdWp(entry) : entry;
}

/** One mapping of the whole becomes one of each part. */
function mapSubpages(k: Kernel, head: number, exclusive: boolean): void {
  for (let i = 0; i < k.tables.hugePages; i++) {
    k.pages.addMapcount(head + i, 1);
    if (exclusive) k.pages.setAnonExclusive(head + i, true);
  }
  folioRemoveRmapEntire(k, head);
}
