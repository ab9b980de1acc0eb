import { call, type Path, spinLock, spinUnlock, step } from "@mmu-notifier/steps";
import type { Kernel } from "../kernel.js";
import { ptePfn, pteTable } from "../pte.js";
import type { MmuGather } from "../tlb/mmu-gather.js";
import { taskPages } from "../vma/task-size.js";

/**
 * free_pgtables(): frees the page tables below pages [start, end) that nothing in [0, floor) or [ceiling, ...) can use. They are
 * given up by the gather after its flush. mmap_lock held, nobody else can fault there.
 */
export function freePgtables(
  k: Kernel,
  tlb: MmuGather,
  start: number,
  end: number,
  floor: number,
  ceiling: number,
): Path {
  return call("free_pgtables", free(k, tlb, start, end, floor, ceiling));
}

function* free(k: Kernel, tlb: MmuGather, start: number, end: number, floor: number, ceiling: number): Path {
  const { top, span } = k.tables;
  yield* freeBelow(k, tlb, top, start, end, floor, ceiling);
  if (!k.arch.foldsP4d || !k.profile.flushesFoldedP4d) return;
  const size = span[top]!;
  for (let block = start - (start % size); block < end; block += size) {
    // The last of them holds the stack of every program.
    if (block >= floor && block + size <= ceiling && block + size <= taskPages(k)) tlb.freeTable(0, top, block);
  }
}

/** Frees whole tables of entries of `level - 1` that hang in entries of `level`, lowest level first. */
function* freeBelow(
  k: Kernel,
  tlb: MmuGather,
  level: number,
  start: number,
  end: number,
  floor: number,
  ceiling: number,
): Path {
  const span = k.tables.span[level]!;
  for (let block = start - (start % span); block < end; block += span) {
    const here = block;
    block = yield step("free_pgd_range", () => nextTable(k, tlb.mm, level, here, end));
    if (block >= end) return;
    if (level > 1)
      yield* freeBelow(k, tlb, level - 1, Math.max(start, block), Math.min(end, block + span), floor, ceiling);
    if (block < floor || block + span > ceiling) continue;
    const at = block;
    const ptep = yield step("pXd_offset", () => k.tables.find(k.mms.pgd(tlb.mm), level, at));
    if (ptep === 0) continue;
    const ptl = k.tables.ptl(k.tables.tableOf(ptep));
    yield spinLock(ptl);
    const table = yield step("pXd_clear", () => {
      const entry = k.tables.get(ptep);
      if (!pteTable(entry)) return 0;
      k.tables.set(ptep, 0);
      return ptePfn(entry);
    });
    yield spinUnlock(ptl);
    if (table !== 0) tlb.freeTable(table, level - 1, block);
  }
}

/** The first block from `block` on whose entry of `level` points to a table; `end` when there is none. */
function nextTable(k: Kernel, mm: number, level: number, block: number, end: number): number {
  const pgd = k.mms.pgd(mm);
  for (let at = block; at < end;) {
    let table = pgd;
    let l = k.tables.top;
    let ptep = k.tables.ptepIn(table, l, at);
    for (; ; ptep = k.tables.ptepIn(table, --l, at)) {
      const entry = k.tables.get(ptep);
      if (!pteTable(entry)) break;
      if (l === level) return at;
      table = ptePfn(entry);
    }
    const span = k.tables.span[l]!;
    const behind = k.tables.endOf(table, l);
    at -= at % span;
    do {
      ptep++;
      at += span;
    } while (ptep < behind && !pteTable(k.tables.get(ptep)));
  }
  return end;
}
