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
export function splitHugePmd(k: Kernel, cpu: number, vma: number, vpn: number): Path {
  return call("__split_huge_pmd", split(k, cpu, vma, vpn));
}

function* split(k: Kernel, cpu: number, vma: number, vpn: number): Path {
  const mm = yield step("vma->vm_mm", () => k.vmas.mm(vma));
  const base = hugeBase(k, vpn);
  const range = { mm, start: base * PAGE_SIZE, end: (base + k.tables.hugePages) * PAGE_SIZE, event: "MMU_NOTIFY_CLEAR" } as const;
  yield* k.bus.invalidateRangeStart(range);
  const pmdp = yield step("pmd_offset", () => k.tables.find(k.mms.pgd(mm), PMD_LEVEL, vpn));
  if (pmdp !== 0) {
    yield lockPtl(k, pmdp);
    yield* splitHugePmdLocked(k, cpu, mm, vma, vpn, pmdp);
    yield unlockPtl(k, pmdp);
  }
  yield* k.bus.invalidateRangeEnd(range, k.profile.hookFromRangeEnd);
}

/** split_huge_pmd_locked(): the split itself, under the lock of the PMD table, inside a range that the caller announced. */
export function* splitHugePmdLocked(k: Kernel, cpu: number, mm: number, vma: number, vpn: number, pmdp: Ptep): Path {
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
  yield step("pmd_populate", () => populateAnon(k, vma, pmdp, before));
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
  const flags = pmd & (PTE_UFFD_WP | PTE_SOFT_DIRTY | SWP_EXCLUSIVE);
  const head = swpOffset(pmd);
  k.pages.get(head, k.tables.hugePages - 1);
  publish(k, pmdp, (i) => mkSwp(swpType(pmd), head + i, flags));
  mapSubpages(k, head, false);
  return 0;
}

function populateAnon(k: Kernel, vma: number, pmdp: Ptep, pmd: Pte): number {
  const head = ptePfn(pmd);
  const prot = vmPageProtOf(k, vma);
  const dirty = k.pte.dirty(pmd);
  if (dirty) k.pages.mark(head, PG_DIRTY);
  k.pages.get(head, k.tables.hugePages - 1);
  publish(k, pmdp, (i) => foldFresh(k, subEntry(k, pmd, head + i, prot, dirty)));
  mapSubpages(k, head, k.pages.anonExclusive(head));
  return 0;
}

/** One base entry with the rights of the huge one. The dirty bit is carried over since v6.1. */
function subEntry(k: Kernel, pmd: Pte, pfn: number, prot: Pte, dirty: boolean): Pte {
  const fresh = mkPte(pfn, prot);
  let entry = pteYoung(pmd) ? pteMkyoung(fresh) : pteMkold(fresh);
  if (pteWrite(pmd)) entry = k.pte.mkwrite(entry);
  if (dirty && since(k.profile, 6, 1)) entry = k.pte.mkdirty(entry);
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
