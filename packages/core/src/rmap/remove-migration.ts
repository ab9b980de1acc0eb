import { call, type Path, step } from "@mmu-notifier/steps";
import { lockPtl, unlockPtl } from "../fault/pte-map.js";
import { vmPageProtOf } from "../fault/vm-page-prot.js";
import type { Kernel } from "../kernel.js";
import { since } from "../kernel-profile.js";
import { PG_ANON, PG_DIRTY, PG_HWPOISON } from "../page.js";
import { PMD_LEVEL, PTE_LEVEL } from "../page-table.js";
import {
  isMigrationEntry,
  mkPte,
  type Pte,
  PTE_SOFT_DIRTY,
  PTE_UFFD_WP,
  pteMkhuge,
  pteMkold,
  pteClearSoftDirty,
  pteMksoftDirty,
  pteMkspecial,
  pteMkuffdWp,
  pteMkyoung,
  SWP_MIGRATION_DIRTY,
  SWP_MIGRATION_READ,
  SWP_MIGRATION_WRITE,
  SWP_MIGRATION_YOUNG,
  swpOffset,
  swpType,
} from "../pte.js";
import { contpteTryFold } from "../tlb/contpte.js";
import { setPteAt } from "../tlb/ptep.js";
import { updateMmuCache } from "../tlb/set-access-flags.js";
import { VM_LOCKED } from "../vma.js";
import { MAPPED_HUGE, mappedAt, NOT_MAPPED } from "./page-vma-mapped.js";
import { folioAddRmap, folioAddRmapEntire } from "./rmap.js";
import { type RmapLocking, type RmapTarget, rmapWalk } from "./rmap-walk.js";

/** How migration entries are replaced. */
export interface RemoveMigrationOptions {
  /** Pages full of zeroes are mapped as the shared zero page (splitting an anonymous folio, since v6.12). */
  readonly useZeroPage?: boolean;
  readonly locking?: RmapLocking;
}

/**
 * remove_migration_ptes(): maps folio `dst` wherever a migration entry for folio `src` waits. Nobody is told: hardware saw
 * nothing there. The two may be the same folio, put back.
 */
export function removeMigrationPtes(
  k: Kernel,
  cpu: number,
  src: number,
  dst: number,
  options: RemoveMigrationOptions = {},
): Path {
  return call("remove_migration_ptes", remove(k, cpu, src, dst, options));
}

function remove(k: Kernel, cpu: number, src: number, dst: number, options: RemoveMigrationOptions): Path {
  return rmapWalk(
    k,
    src,
    (target) => removeOne(k, cpu, src, dst, target, options.useZeroPage === true),
    options.locking,
  );
}

/** remove_migration_pte(): one VMA of the walk, which always goes on. */
function* removeOne(
  k: Kernel,
  cpu: number,
  src: number,
  dst: number,
  { vma, mm, start, end }: RmapTarget,
  useZeroPage: boolean,
): Path<boolean> {
  for (let at = start; at < end;) {
    const from = at;
    const found = yield step("page_vma_mapped_walk", () => mappedAt(k, mm, src, from, end, true));
    if (found === NOT_MAPPED) break;
    const huge = found >= MAPPED_HUGE;
    const vpn = huge ? found - MAPPED_HUGE : found;
    const ptep = yield step("pte_offset_map", () => k.tables.find(k.mms.pgd(mm), huge ? PMD_LEVEL : PTE_LEVEL, vpn));
    yield lockPtl(k, ptep);
    const entry = yield step("remove_migration_pte", () => {
      const old = k.tables.get(ptep);
      if (!isMigrationEntry(old)) return 0;
      if (useZeroPage && !huge && mapsZero(k, vma, dst + (swpOffset(old) - src))) return zeroEntry(k, vma, old);
      return presentEntry(k, vma, old, dst + (swpOffset(old) - src), huge);
    });
    if (entry !== 0) {
      yield setPteAt(k, mm, vpn, ptep, entry);
      if (!huge) yield* contpteTryFold(k, cpu, mm, vpn, ptep);
      yield* updateMmuCache(k, cpu, mm, vpn);
    }
    yield unlockPtl(k, ptep);
    at = vpn + (huge ? k.tables.hugePages : 1);
  }
  return true;
}

/** The present entry, with the mapping's reference and map count taken. */
function presentEntry(k: Kernel, vma: number, old: Pte, pfn: number, huge: boolean): Pte {
  const type = swpType(old);
  const fresh = mkPte(pfn, vmPageProtOf(k, vma));
  let pte = (old & SWP_MIGRATION_YOUNG) !== 0 ? pteMkyoung(fresh) : pteMkold(fresh);
  if ((old & SWP_MIGRATION_DIRTY) !== 0 && k.pages.test(pfn, PG_DIRTY)) pte = k.pte.mkdirty(pte);
  if ((old & PTE_SOFT_DIRTY) !== 0) pte = pteMksoftDirty(pte);
  // pte_mkdirty() has set it as well on x86; that stayed before.
  else if (!huge && since(k.profile, 6, 12)) pte = pteClearSoftDirty(pte);
  if (type === SWP_MIGRATION_WRITE)
    pte = since(k.profile, 6, 1) ? k.pte.mkwrite(pte) : k.pte.maybeMkwrite(pte, k.vmas.flags(vma));
  if ((old & PTE_UFFD_WP) !== 0) pte = pteMkuffdWp(k.pte.wrprotect(pte));
  k.pages.get(pfn);
  if (huge) folioAddRmapEntire(k, pfn);
  else folioAddRmap(k, pfn);
  if (k.pages.test(pfn, PG_ANON) && type !== SWP_MIGRATION_READ) k.pages.setAnonExclusive(pfn, true);
  return huge ? pteMkhuge(pte) : pte;
}

/** try_to_map_unused_to_zeropage(): not in locked memory, which was promised frames. */
function mapsZero(k: Kernel, vma: number, pfn: number): boolean {
  if (k.pages.order(pfn) !== 0 || k.pages.test(pfn, PG_HWPOISON)) return false;
  return k.pages.content(pfn) === 0 && k.pages.test(pfn, PG_ANON) && !k.vmas.has(vma, VM_LOCKED);
}

function zeroEntry(k: Kernel, vma: number, old: Pte): Pte {
  let zero = pteMkspecial(mkPte(k.pages.zeroPfn, vmPageProtOf(k, vma)));
  if ((old & PTE_SOFT_DIRTY) !== 0) zero = pteMksoftDirty(zero);
  return (old & PTE_UFFD_WP) !== 0 ? pteMkuffdWp(zero) : zero;
}
