import { ULONG_MAX } from "@mmu-notifier/bus";
import { NO_STEPS, type Path, step } from "@mmu-notifier/steps";
import { PAGE_SIZE } from "../geometry.js";
import { folioPut, freeSwapCache } from "../folio.js";
import type { Kernel } from "../kernel.js";
import { flushTlbMm, flushTlbRange } from "./flush.js";

/** Pages that fit before a flush is forced: the built-in bundle and 19 batches of 510. */
const MAX_GATHER_PAGES = 8 + 19 * 510;

/**
 * A run of cleared entries whose translations, pages and tables are dropped together: struct mmu_gather. It belongs to one path
 * and is a function of what that path saw, so it lives outside the modelled memory.
 *
 * @public
 */
export class MmuGather {
  readonly #k: Kernel;
  readonly #cpu: number;
  readonly mm: number;
  #fullmm: boolean;
  #start = Infinity;
  #end = 0;
  #freedTables = false;
  /** Levels of which entries were cleared or changed, as a bit mask. */
  #clearedLevels = 0;
  readonly #pages: number[] = [];
  readonly #tables: number[] = [];

  /** Use {@link tlbGatherMmu}. */
  constructor(k: Kernel, cpu: number, mm: number, fullmm: boolean) {
    this.#k = k;
    this.#cpu = cpu;
    this.mm = mm;
    this.#fullmm = fullmm;
  }

  /** The whole address space goes: exit. */
  get fullmm(): boolean {
    return this.#fullmm;
  }

  /** True when something must be flushed before the PTL may be dropped and pages freed. */
  get pending(): boolean {
    return this.#freedTables || this.#clearedLevels !== 0;
  }

  /** tlb_remove_tlb_entry() and its kin: an entry that maps `spanPages` pages from `vpn` was cleared. */
  removeEntry(vpn: number, spanPages = 1): void {
    this.#widen(vpn, spanPages, this.#levelOfSpan(spanPages));
  }

  /** tlb_flush_pte_range(): a run of last-level entries was changed in place. */
  changePages(vpn: number, pages: number): void {
    this.#widen(vpn, pages, 0);
  }

  /** tlb_flush_pte_range(), tlb_flush_pmd_range(): an entry of `spanPages` pages was changed in place. */
  changePage(vpn: number, spanPages = 1): void {
    this.#widen(vpn, spanPages, this.#levelOfSpan(spanPages));
  }

  /**
   * pte_free_tlb(), pmd_free_tlb(): `table`, whose entries are of `level`, left the tree at page `vpn`. Widens the range by one
   * base page, as the kernel does, and makes the flush reach walk caches.
   */
  freeTable(table: number, level: number, vpn: number): void {
    this.#widen(vpn, 1, level + 1);
    this.#freedTables = true;
    if (table !== 0) this.#tables.push(table);
  }

  /** tlb_remove_page(): `pfn` loses `references` references after the flush; true when the batch is full and must be flushed now. */
  removePage(pfn: number, references = 1): boolean {
    for (let i = 0; i < references; i++) this.#pages.push(pfn);
    return this.#pages.length >= MAX_GATHER_PAGES;
  }

  /** tlb_end_vma(): architectures that do not merge VMAs flush here, and so does every one after PFN mappings. */
  endVma(pfnMap = false): Path {
    return !this.#fullmm && (pfnMap || this.#k.arch.flush.perVma) ? this.flushTlbOnly() : NO_STEPS;
  }

  /** tlb_flush_mmu_tlbonly(): flushes the range so far, if anything changed. May run under the PTL. */
  *flushTlbOnly(): Path {
    if (!this.pending) return;
    const k = this.#k;
    const stridePages = k.tables.span[lowestLevel(this.#clearedLevels)]!;
    if (this.#fullmm) {
      const options = { stridePages, lastLevel: !this.#freedTables };
      if (this.#freedTables || !k.arch.flush.fullmmOnlyWithTables) yield* flushTlbMm(k, this.#cpu, this.mm, options);
    } else {
      yield* flushTlbRange(k, this.#cpu, this.mm, this.#start, this.#end, {
        stridePages,
        lastLevel: !this.#freedTables,
      });
    }
    if (k.profile.hookFromMmuGather) {
      const start = this.#start === Infinity ? ULONG_MAX : this.#start * PAGE_SIZE;
      const end = this.#fullmm ? ULONG_MAX : this.#end * PAGE_SIZE;
      yield* k.bus.invalidateRange(this.mm, start, end);
    }
    this.#reset();
  }

  /** tlb_flush_mmu(): flushes, then gives up the collected pages and tables. Not under the PTL. */
  *flush(): Path {
    yield* this.flushTlbOnly();
    const pages = this.#pages.splice(0);
    const tables = this.#tables.splice(0);
    if (pages.length === 0 && tables.length === 0) return;
    const k = this.#k;
    yield step("tlb_batch_pages_flush", () => {
      for (const table of tables) k.tables.free(table);
      for (const pfn of pages) {
        freeSwapCache(k, pfn);
        folioPut(k, pfn);
      }
      return 0;
    });
  }

  /**
   * tlb_finish_mmu(): the last flush. If another gather of this mm is under way, everything is flushed, since that one may have
   * cleared entries that this one skipped.
   */
  *finish(): Path {
    const k = this.#k;
    const nested = yield step("mm_tlb_flush_nested", () => (k.mms.tlbFlushPending(this.mm) > 1 ? 1 : 0));
    if (nested !== 0) {
      this.#reset();
      this.#fullmm = true;
      this.#freedTables = true;
    }
    yield* this.flush();
    yield step("dec_tlb_flush_pending", () => {
      k.mms.addTlbFlushPending(this.mm, -1);
      return 0;
    });
  }

  #widen(vpn: number, pages: number, level: number): void {
    this.#start = Math.min(this.#start, vpn);
    this.#end = Math.max(this.#end, vpn + pages);
    // A level that is folded away has no flush stride of its own.
    if (level < this.#k.tables.span.length) this.#clearedLevels |= 1 << level;
  }

  #reset(): void {
    this.#start = Infinity;
    this.#end = 0;
    this.#freedTables = false;
    this.#clearedLevels = 0;
  }

  /** The highest level whose entries map no more than `pages` pages. */
  #levelOfSpan(pages: number): number {
    const { span } = this.#k.tables;
    let level = 0;
    while (level + 1 < span.length && span[level + 1]! <= pages) level++;
    return level;
  }
}

function lowestLevel(mask: number): number {
  return mask === 0 ? 0 : 31 - Math.clz32(mask & -mask);
}

/** tlb_gather_mmu(): begins a gather; from now on others see that the mm has a flush pending. */
export function tlbGatherMmu(k: Kernel, cpu: number, mm: number): Path<MmuGather> {
  return gather(k, cpu, mm, false);
}

/** tlb_gather_mmu_fullmm(): the gather of an exiting mm. */
export function tlbGatherMmuFullmm(k: Kernel, cpu: number, mm: number): Path<MmuGather> {
  return gather(k, cpu, mm, true);
}

function* gather(k: Kernel, cpu: number, mm: number, fullmm: boolean): Path<MmuGather> {
  yield step("inc_tlb_flush_pending", () => {
    k.mms.addTlbFlushPending(mm, 1);
    return 0;
  });
  return new MmuGather(k, cpu, mm, fullmm);
}
