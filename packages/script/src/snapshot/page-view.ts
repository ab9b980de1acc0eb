import { type Kernel, PMD_LEVEL, PTE_LEVEL, pteHugeLeaf, ptePfn, pteTable } from "@mmu-notifier/core";

/** No entry at all. */
const LEVEL_NONE = -1;

/**
 * The leaf entries of a run of pages, read straight from the tables, outside of any step. One object is refreshed again and
 * again; nothing is allocated.
 */
export class PageView {
  /** First page, as a virtual page number. */
  readonly first: number;
  readonly count: number;
  /** The leaf entry of each page; 0 for none. The entry of a huge leaf is repeated. */
  readonly pte: Int32Array;
  /** Level at which the walk ends: 0 in a last-level table (whose entry may be empty), 1 at a huge leaf, -1 above. */
  readonly level: Int8Array;
  /** Frame of each present page; for a huge leaf the frame of the page itself. */
  readonly pfn: Int32Array;
  readonly #kernel: Kernel;
  readonly #mm: number;
  #used = 0;

  constructor(kernel: Kernel, mm: number, first: number, count: number) {
    this.#kernel = kernel;
    this.#mm = mm;
    this.first = first;
    this.count = count;
    this.pte = new Int32Array(count);
    this.level = new Int8Array(count).fill(LEVEL_NONE);
    this.pfn = new Int32Array(count);
  }

  /** Behind the last page that has an entry. */
  get used(): number {
    return this.#used;
  }

  refresh(): void {
    const { tables, mms } = this.#kernel;
    const { pte, level, pfn, count, first } = this;
    const before = this.#used;
    this.#used = 0;
    const pgd = mms.isLive(this.#mm) ? mms.pgd(this.#mm) : 0;
    const huge = tables.hugePages;
    for (let at = 0; at < count;) {
      const vpn = first + at;
      const inBlock = vpn % huge;
      const start = at;
      const end = Math.min(count, at + huge - inBlock);
      const pmdp = pgd === 0 ? 0 : tables.find(pgd, PMD_LEVEL, vpn);
      const pmd = pmdp === 0 ? 0 : tables.get(pmdp);
      if (pteTable(pmd)) {
        const { i32 } = tables.segment;
        const table = ptePfn(pmd);
        level.fill(PTE_LEVEL, at, end);
        // Pages behind the last entry of before have none in the view.
        let ptep = tables.ptepIn(table, PTE_LEVEL, vpn);
        const stop = tables.count(table) > 0 ? end : Math.min(end, before);
        for (; at < stop; at++, ptep++) {
          const entry = i32[ptep]!;
          pte[at] = entry;
          pfn[at] = entry === 0 ? 0 : ptePfn(entry);
          if (entry !== 0) this.#used = at + 1;
        }
      } else if (pmd !== 0) {
        const leaf = pteHugeLeaf(pmd);
        const frame = ptePfn(pmd) + inBlock;
        pte.fill(pmd, at, end);
        level.fill(PMD_LEVEL, at, end);
        for (let i = 0; at < end; at++, i++) pfn[at] = leaf ? frame + i : 0;
        this.#used = end;
      } else {
        level.fill(LEVEL_NONE, at, end);
        if (start < before) {
          pte.fill(0, at, end);
          pfn.fill(0, at, end);
        }
      }
      at = end;
    }
  }
}
