import { type Path, step } from "@mmu-notifier/steps";
import type { Kernel } from "../kernel.js";
import type { Ptep } from "../page-table.js";
import {
  PFN_SHIFT,
  type Pte,
  PTE_AF,
  PTE_CONT,
  PTE_FLAGS_MASK,
  pteMkold,
  ptePfn,
  ptePresent,
  pteSpecial,
  pteWrite,
  pteYoung,
} from "../pte.js";
import { contpteTryUnfoldPartial, setPtes } from "../tlb/contpte.js";
import type { MmuGather } from "../tlb/mmu-gather.js";
import { pteNeedsFlush } from "../tlb/ptep.js";
import { changedEntry, modifiedEntry } from "./change-entry.js";
import type { ChangeProtection } from "./change-flags.js";

const ONE_PAGE = 1 << PFN_SHIFT;

/** Entries that are taken out and put back together: those of one large folio in a row, alike but for young and dirty. Inside a step. */
export function folioPteBatch(k: Kernel, ptep: Ptep, most: number): number {
  const first = k.tables.get(ptep);
  if (!ptePresent(first) || pteSpecial(first) || k.pages.order(ptePfn(first)) === 0) return 1;
  const head = k.pages.head(ptePfn(first));
  const alike = (pte: Pte): Pte => pteMkold(k.pte.mkclean(pte)) & ~PTE_CONT & PTE_FLAGS_MASK;
  let run = 1;
  for (; run < most; run++) {
    const pte = k.tables.get(ptep + run);
    if (!ptePresent(pte) || ptePfn(pte) !== ptePfn(first) + run || alike(pte) !== alike(first)) break;
    if (k.pages.head(ptePfn(pte)) !== head) break;
  }
  return run;
}

/** get_and_clear_full_ptes(): clears `run` entries and returns the first, young and dirty if any of them was. Inside a step. */
export function takeRun(k: Kernel, ptep: Ptep, run: number): Pte {
  let pte = k.tables.get(ptep) & ~PTE_CONT;
  for (let i = 0; i < run; i++) {
    const entry = k.tables.get(ptep + i);
    if (k.pte.dirty(entry)) pte = k.pte.mkdirty(pte);
    if (pteYoung(entry)) pte |= PTE_AF;
    k.tables.set(ptep + i, 0);
  }
  return pte;
}

/** modify_prot_start_ptes() and its commit: a whole run, young and dirty if any of it was. */
export function* changeRun(
  k: Kernel,
  cpu: number,
  tlb: MmuGather,
  change: ChangeProtection,
  vpn: number,
  ptep: Ptep,
  run: number,
): Path {
  const { mm } = tlb;
  yield* contpteTryUnfoldPartial(k, cpu, mm, vpn, ptep, run);
  const before = yield step("modify_prot_start_ptes", () => takeRun(k, ptep, run));
  const plain = yield step("pte_modify", () => modifiedEntry(k, before, change));
  for (let i = 0; i < run;) {
    const first = i;
    const writable = change.tryChangeWritable && !pteWrite(plain);
    const length = writable
      ? yield step("page_anon_exclusive_batch", () => exclusiveRun(k, ptePfn(plain) + first, run - first))
      : run - first;
    const after = yield step("can_change_pte_writable", () => changedEntry(k, before + first * ONE_PAGE, change));
    yield* setPtes(k, cpu, mm, vpn + first, ptep + first, after, length);
    if (k.profile.mprotectGathers && pteNeedsFlush(k, before + first * ONE_PAGE, after))
      tlb.changePages(vpn + first, length);
    i += length;
  }
}

/** Pages from `pfn` on that are all exclusive, or all not. Inside a step. */
function exclusiveRun(k: Kernel, pfn: number, most: number): number {
  let run = 1;
  while (run < most && k.pages.anonExclusive(pfn + run) === k.pages.anonExclusive(pfn)) run++;
  return run;
}
