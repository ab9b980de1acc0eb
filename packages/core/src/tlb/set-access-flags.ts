import { NO_STEPS, type Path, step } from "@mmu-notifier/steps";
import type { Kernel } from "../kernel.js";
import { type Ptep, PTE_LEVEL } from "../page-table.js";
import {
  type Pte,
  PTE_AF,
  PTE_CONT,
  PTE_DIRTY,
  PTE_RDONLY,
  PTE_VALID,
  PTE_WRITE,
  pteHugeLeaf,
  ptePfn,
  ptePresent,
} from "../pte.js";
import {
  changesWrite,
  CONT_PTES,
  contpteSetAccessFlags,
  contpteTryUnfold,
  hasContpte,
  pteValidCont,
} from "./contpte.js";
import { flushTlbLocal, flushTlbPage, flushTlbRange } from "./flush.js";

/** Bit of the result: what the kernel's function returns, "call update_mmu_cache()". */
export const SAF_CHANGED = 1;
/** Bit of the result: hardware lets a write through that it refused before. Implies {@link SAF_CHANGED}. */
export const SAF_GAINED = 2;
const WROTE = 4;
const LEVEL_SHIFT = 3;

/** What a caller may say about the entry. */
export interface SetAccessFlagsOptions {
  /** The entry belongs to hugetlb: huge_ptep_set_access_flags(). */
  readonly hugetlb?: boolean;
}

/** A write that hardware without dirty-state management refused through `before` goes through `after`, to the same frame. */
export function gainedWrite(k: Kernel, before: Pte, after: Pte): boolean {
  return (
    ptePresent(before) &&
    ptePfn(before) === ptePfn(after) &&
    !k.pte.hwWritable(before, false) &&
    k.pte.hwWritable(after, false)
  );
}

/**
 * ptep_set_access_flags(), pmdp_set_access_flags() and their kin, for the level that `ptep` lies in: gives a present entry
 * more rights, younger or dirtier, without taking it out first. Called under the PTL.
 *
 * @param vpn page that faulted; above the last level the base of the entry is flushed
 * @param wanted the wanted entry, with the frame of the present one
 * @param dirty the access is a write
 * @param site the calling kernel function, for observers
 * @returns {@link SAF_CHANGED} and {@link SAF_GAINED} bits; not 0 exactly when the kernel's function returns true
 */
export function* ptepSetAccessFlags(
  k: Kernel,
  cpu: number,
  mm: number,
  vpn: number,
  ptep: Ptep,
  wanted: Pte,
  dirty: boolean,
  site: string,
  options: SetAccessFlagsOptions = {},
): Path<number> {
  const entry = wanted & ~PTE_CONT;
  if (hasContpte(k)) {
    const folded = yield* foldedSetAccessFlags(k, cpu, mm, vpn, ptep, entry, dirty, site);
    if (folded >= 0) return folded;
  }
  const rules = k.arch.setAccessFlags;
  const result = yield step("ptep_set_access_flags", () => {
    const before = k.tables.get(ptep);
    const same = before === entry;
    const writes = !same && (dirty || rules.writes === "changed");
    const after = writes ? stored(k, before, entry) : before;
    if (writes) k.tables.set(ptep, after);
    const changed = !same || rules.returns === "always";
    const gained = writes && gainedWrite(k, before, after);
    const level = k.tables.levelOf(ptep);
    if (k.observed) {
      const pages = k.tables.span[level]!;
      const base = vpn - (vpn % pages);
      for (const fn of functionNames(k, level, options)) {
        k.emit({ kind: "set-access-flags", fn, mm, vpn: base, before, after: entry, dirty, changed });
      }
      if (gained) k.emit({ kind: "upgrade", mm, vpn: base, pages, site });
    }
    return (changed ? SAF_CHANGED : 0) | (gained ? SAF_GAINED : 0) | (!same ? WROTE : 0) | (level << LEVEL_SHIFT);
  });
  const flushes = rules.flush === "changed" || (rules.flush === "changed-and-dirty" && dirty);
  if (flushes && (result & WROTE) !== 0) {
    const pages = k.tables.span[result >> LEVEL_SHIFT]!;
    yield* upgradeFlush(k, cpu, mm, vpn - (vpn % pages), k.profile.arm64UpgradeFlushSpan === "entry" ? pages : 1);
  }
  return result & (SAF_CHANGED | SAF_GAINED);
}

const NOT_FOLDED = -1;
const UNFOLD = -2;

/**
 * contpte_ptep_set_access_flags(): a folded block gets younger or dirtier as a whole; it is unfolded first when the write bit
 * changes.
 *
 * @returns the result bits, or -1 when the entry is single (or has been made so) and goes the ordinary way
 */
function* foldedSetAccessFlags(
  k: Kernel,
  cpu: number,
  mm: number,
  vpn: number,
  ptep: Ptep,
  entry: Pte,
  dirty: boolean,
  site: string,
): Path<number> {
  const start = vpn - (vpn % CONT_PTES);
  const result = yield step("contpte_ptep_set_access_flags", () => {
    const before = k.tables.get(ptep);
    if (!pteValidCont(before) || k.tables.levelOf(ptep) !== PTE_LEVEL) return NOT_FOLDED;
    const unfolds = changesWrite(before, entry);
    if (k.observed) {
      const told = { kind: "set-access-flags", mm, after: entry, dirty, changed: true } as const;
      k.emit({ ...told, fn: "contpte_ptep_set_access_flags", vpn, before });
      // Each entry of the block is compared with that of the fault, whose frame is another one and which has no hint.
      const entries = unfolds ? 0 : CONT_PTES;
      for (let i = 0; i < entries; i++) {
        for (const fn of functionNames(k, PTE_LEVEL, {}))
          k.emit({ ...told, fn, vpn: start + i, before: k.tables.get(ptep - (vpn - start) + i) });
      }
    }
    const changed = unfolds || contpteSetAccessFlags(k, vpn, ptep, entry) !== 0;
    const gained = !unfolds && gainedWrite(k, before, k.tables.get(ptep));
    if (gained && k.observed) k.emit({ kind: "upgrade", mm, vpn: start, pages: CONT_PTES, site });
    if (unfolds) return UNFOLD;
    return (changed ? SAF_CHANGED : 0) | (gained ? SAF_GAINED : 0);
  });
  if (result === UNFOLD) {
    yield* contpteTryUnfold(k, cpu, mm, vpn, ptep);
    return NOT_FOLDED;
  }
  if (result > 0 && dirty) yield* upgradeFlush(k, cpu, mm, start, CONT_PTES);
  return result;
}

/** The flush after an upgrade: of `pages` pages from `base`, as far as the architecture and the kernel reach. */
function upgradeFlush(k: Kernel, cpu: number, mm: number, base: number, pages: number): Path {
  if (!k.arch.arm64) return flushTlbPage(k, cpu, mm, base);
  if (k.profile.arm64UpgradeFlush === "local") return flushTlbLocal(k, cpu, mm, base, pages, true);
  if (pages === 1) return flushTlbPage(k, cpu, mm, base);
  return flushTlbRange(k, cpu, mm, base, base + pages, { lastLevel: true });
}

function stored(k: Kernel, before: Pte, entry: Pte): Pte {
  if (k.arch.setAccessFlags.store === "replace") return entry;
  const merged = before | (entry & (PTE_AF | PTE_WRITE | PTE_DIRTY));
  return (entry & PTE_RDONLY) === 0 ? merged & ~PTE_RDONLY : merged;
}

function functionNames(k: Kernel, level: number, { hugetlb = false }: SetAccessFlagsOptions): readonly string[] {
  const { functions } = k.arch.setAccessFlags;
  if (hugetlb) return functions.hugetlb;
  return level === PTE_LEVEL ? functions.pte : functions.pmd;
}

/**
 * update_mmu_cache(): what an architecture does after the entry of `vpn` got usable. Called under the PTL; one that preloads reads the
 * entry and then puts it into the CPU's TLB, and nothing but that lock keeps the two together.
 */
export function updateMmuCache(k: Kernel, cpu: number, mm: number, vpn: number): Path {
  const { updateMmuCache: does } = k.arch.setAccessFlags;
  if (does === "local-flush") return flushTlbLocal(k, cpu, mm, vpn, 1, false);
  return does === "preload" && k.tlbs.entries > 0 ? preload(k, cpu, mm, vpn) : NO_STEPS;
}

function* preload(k: Kernel, cpu: number, mm: number, vpn: number): Path {
  const pte = yield step("update_mmu_cache: read", () => {
    const ptep = k.tables.leaf(k.mms.pgd(mm), vpn);
    return ptep === 0 ? 0 : k.tables.get(ptep);
  });
  if ((pte & PTE_VALID) === 0) return;
  yield step("update_mmu_cache: preload", () => {
    k.tlbs.insert(cpu, k.mms.asid(mm), vpn, pte, pteHugeLeaf(pte) ? k.tables.hugePages : 1);
    return 0;
  });
}

/**
 * flush_tlb_fix_spurious_fault(): the entry already allows the access that faulted, so a stale one must be in the TLB. Nothing
 * where flushes reach every CPU or the CPU walks again by itself; arm64 since v7.0 flushes locally without the hook.
 */
export function flushTlbFixSpuriousFault(k: Kernel, cpu: number, mm: number, vpn: number): Path {
  if (k.arch.arm64 && k.profile.arm64UpgradeFlush === "local") return flushTlbLocal(k, cpu, mm, vpn, 1, false);
  return k.arch.setAccessFlags.spurious === "flush-page" ? flushTlbPage(k, cpu, mm, vpn) : NO_STEPS;
}
