import { NO_STEPS, type Path, step, type Step, stepAt } from "@mmu-notifier/steps";
import type { Kernel } from "../kernel.js";
import { PG_HEAD, PG_TAIL } from "../page.js";
import type { Ptep } from "../page-table.js";
import {
  PFN_SHIFT,
  type Pte,
  PTE_AF,
  PTE_CONT,
  PTE_DIRTY,
  PTE_RDONLY,
  PTE_VALID,
  PTE_WRITE,
  pteMkold,
  ptePfn,
  pteSpecial,
  pteYoung,
} from "../pte.js";
import { flushTlbRange } from "./flush.js";

/** Entries of one contiguous block: CONT_PTES with 4 KiB pages. */
export const CONT_PTES = 16;

const ONE_PAGE = 1 << PFN_SHIFT;

/** True when this kernel folds runs of entries on this architecture, and its page tables are wide enough for a run. */
export function hasContpte(k: Kernel): boolean {
  return k.arch.contpte && k.profile.contpte && 2 ** k.tables.geometry.bits[0]! >= CONT_PTES;
}

/** pte_valid_cont(). */
export function pteValidCont(pte: Pte): boolean {
  return (pte & (PTE_VALID | PTE_CONT)) === (PTE_VALID | PTE_CONT);
}

/** Where the block that `ptep` lies in begins; `vpn` is its page. */
function blockStart(vpn: number, ptep: Ptep): Ptep {
  return ptep - (vpn % CONT_PTES);
}

/** contpte_ptep_get(): the entry, young and dirty if any entry of its block is. To be called inside a step. */
export function contptePtepGet(k: Kernel, vpn: number, ptep: Ptep): Pte {
  let pte = k.tables.get(ptep);
  if (!hasContpte(k) || !pteValidCont(pte)) return pte;
  const first = blockStart(vpn, ptep);
  for (let i = 0; i < CONT_PTES; i++) {
    const entry = k.tables.get(first + i);
    if (k.pte.dirty(entry)) pte = k.pte.mkdirty(pte);
    if (pteYoung(entry)) pte |= PTE_AF;
  }
  return pte;
}

/**
 * contpte_convert(): rewrites a whole block as `first` and its 15 followers. Break-before-make: all entries go, the block is
 * flushed, and only then the new ones come, young and dirty if any of the old was.
 */
function* contpteConvert(k: Kernel, cpu: number, mm: number, vpn: number, ptep: Ptep, first: Pte): Path {
  const start = vpn - (vpn % CONT_PTES);
  const at = blockStart(vpn, ptep);
  const target = yield step("contpte_convert: clear the block", () => {
    let pte = first;
    for (let i = 0; i < CONT_PTES; i++) {
      const entry = k.tables.get(at + i);
      if (k.pte.dirty(entry)) pte = k.pte.mkdirty(pte);
      if (pteYoung(entry)) pte |= PTE_AF;
      k.tables.set(at + i, 0);
    }
    return pte;
  });
  yield* flushTlbRange(k, cpu, mm, start, start + CONT_PTES, { lastLevel: true });
  yield step("contpte_convert: set the block", () => {
    for (let i = 0; i < CONT_PTES; i++) k.tables.set(at + i, target + i * ONE_PAGE);
    return 0;
  });
}

/** contpte_try_unfold(): makes a folded block single entries again before one of them changes. Does nothing to others. */
export function contpteTryUnfold(k: Kernel, cpu: number, mm: number, vpn: number, ptep: Ptep): Path {
  return hasContpte(k) ? tryUnfold(k, cpu, mm, vpn, ptep) : NO_STEPS;
}

function* tryUnfold(k: Kernel, cpu: number, mm: number, vpn: number, ptep: Ptep): Path {
  const first = yield step("contpte_try_unfold", () => {
    const pte = k.tables.get(ptep);
    return pteValidCont(pte) ? firstOf(vpn, pte) & ~PTE_CONT : 0;
  });
  if (first !== 0) yield* contpteConvert(k, cpu, mm, vpn, ptep, first);
}

/** contpte_try_unfold_partial(): unfolds the blocks that [vpn, vpn + pages) covers only in part. */
export function contpteTryUnfoldPartial(
  k: Kernel,
  cpu: number,
  mm: number,
  vpn: number,
  ptep: Ptep,
  pages: number,
): Path {
  return hasContpte(k) ? tryUnfoldPartial(k, cpu, mm, vpn, ptep, pages) : NO_STEPS;
}

function* tryUnfoldPartial(k: Kernel, cpu: number, mm: number, vpn: number, ptep: Ptep, pages: number): Path {
  if (vpn % CONT_PTES !== 0 || pages < CONT_PTES) yield* contpteTryUnfold(k, cpu, mm, vpn, ptep);
  const last = vpn + pages - 1;
  const lastBlock = last - (last % CONT_PTES);
  if ((last + 1) % CONT_PTES !== 0 && lastBlock > vpn) yield* contpteTryUnfold(k, cpu, mm, last, ptep + pages - 1);
}

/**
 * contpte_try_fold(): folds the block if the entry just stored was its last and all 16 map one folio in order with the same
 * rights. The entries may differ in being young or dirty.
 */
export function contpteTryFold(k: Kernel, cpu: number, mm: number, vpn: number, ptep: Ptep): Path {
  return hasContpte(k) && vpn % CONT_PTES === CONT_PTES - 1 ? tryFold(k, cpu, mm, vpn, ptep) : NO_STEPS;
}

function* tryFold(k: Kernel, cpu: number, mm: number, vpn: number, ptep: Ptep): Path {
  const first = yield step("contpte_try_fold", () => {
    const pte = k.tables.get(ptep);
    if (!foldable(k, pte) || ptePfn(pte) % CONT_PTES !== CONT_PTES - 1) return 0;
    const head = firstOf(vpn, pte);
    const plain = pteMkold(k.pte.mkclean(head));
    const at = blockStart(vpn, ptep);
    for (let i = 0; i < CONT_PTES; i++) {
      const entry = k.tables.get(at + i);
      if (pteMkold(k.pte.mkclean(entry)) !== plain + i * ONE_PAGE) return 0;
    }
    return inOneFolio(k, ptePfn(head)) ? head | PTE_CONT : 0;
  });
  if (first !== 0) yield* contpteConvert(k, cpu, mm, vpn, ptep, first);
}

/**
 * set_ptes(): stores entries for `pages` pages in a row; whole aligned blocks get the contiguous hint at once, a single last entry
 * may fold its block.
 */
export function* setPtes(k: Kernel, cpu: number, mm: number, vpn: number, ptep: Ptep, pte: Pte, pages = 1): Path {
  if (pages === 1) yield* contpteTryUnfold(k, cpu, mm, vpn, ptep);
  else yield* contpteTryUnfoldPartial(k, cpu, mm, vpn, ptep, pages);
  yield storeRun(k, vpn, ptep, pte, pages);
  if (pages === 1) yield* contpteTryFold(k, cpu, mm, vpn, ptep);
}

/** An entry of a table that nobody sees yet and that maps one aligned folio as a whole: folded where the kernel does so. */
export function foldFresh(k: Kernel, pte: Pte): Pte {
  return hasContpte(k) && (pte & PTE_VALID) !== 0 && !pteSpecial(pte) ? pte | PTE_CONT : pte;
}

function storeRun(k: Kernel, vpn: number, ptep: Ptep, pte: Pte, pages: number): Step {
  const store = (): number => {
    storePtes(k, vpn, ptep, pte, pages);
    return 0;
  };
  return pages === 1 ? stepAt("set_pte_at", vpn, store) : step(`set_ptes ${vpn}+${pages}`, store);
}

/** set_ptes() where nothing was: whole aligned blocks get the contiguous hint. To be called inside a step. */
export function storePtes(k: Kernel, vpn: number, ptep: Ptep, pte: Pte, pages: number): void {
  const plain = pte & ~PTE_CONT;
  const mayFold = pages > 1 && (plain & PTE_VALID) !== 0 && hasContpte(k);
  for (let i = 0; i < pages; i++) {
    const block = i - ((vpn + i) % CONT_PTES);
    const folds = mayFold && block >= 0 && block + CONT_PTES <= pages && (ptePfn(plain) + block) % CONT_PTES === 0;
    k.tables.set(ptep + i, (plain + i * ONE_PAGE) | (folds ? PTE_CONT : 0));
  }
}

/**
 * contpte_ptep_set_access_flags() on a folded block: the new access and dirty state goes into all 16 entries without unfolding.
 * The caller unfolds first when the write bit changes.
 *
 * @returns 1 if an entry changed
 */
export function contpteSetAccessFlags(k: Kernel, vpn: number, ptep: Ptep, entry: Pte): number {
  const at = blockStart(vpn, ptep);
  let changed = 0;
  for (let i = 0; i < CONT_PTES; i++) {
    const before = k.tables.get(at + i);
    const merged = before | (entry & (PTE_AF | PTE_DIRTY));
    const after = (entry & PTE_RDONLY) === 0 ? merged & ~PTE_RDONLY : merged;
    if (after === before) continue;
    k.tables.set(at + i, after);
    changed = 1;
  }
  return changed;
}

/** True when the wanted entry of a folded block has another write bit than the block. */
export function changesWrite(before: Pte, entry: Pte): boolean {
  return ((before ^ entry) & PTE_WRITE) !== 0;
}

/** contpte_ptep_test_and_clear_young(): makes the whole block old; 1 if any entry was young. To be called inside a step. */
export function contpteTestAndClearYoung(k: Kernel, vpn: number, ptep: Ptep): number {
  const at = blockStart(vpn, ptep);
  let young = 0;
  for (let i = 0; i < CONT_PTES; i++) {
    const entry = k.tables.get(at + i);
    if (!pteYoung(entry)) continue;
    k.tables.set(at + i, pteMkold(entry));
    young = 1;
  }
  return young;
}

function foldable(k: Kernel, pte: Pte): boolean {
  return (pte & PTE_VALID) !== 0 && (pte & PTE_CONT) === 0 && !pteSpecial(pte) && k.pages.isLive(ptePfn(pte));
}

function inOneFolio(k: Kernel, pfn: number): boolean {
  const { pages } = k;
  if ((pages.flags(pfn) & (PG_HEAD | PG_TAIL)) === 0) return false;
  return pages.head(pfn) === pages.head(pfn + CONT_PTES - 1) && pages.isLive(pfn + CONT_PTES - 1);
}

/** The entry that the first page of the block has when page `vpn` has `pte`. */
function firstOf(vpn: number, pte: Pte): Pte {
  return pte - (vpn % CONT_PTES) * ONE_PAGE;
}
