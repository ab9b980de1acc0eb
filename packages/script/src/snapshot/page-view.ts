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

  constructor(kernel: Kernel, mm: number, first: number, count: number) {
    this.#kernel = kernel;
    this.#mm = mm;
    this.first = first;
    this.count = count;
    this.pte = new Int32Array(count);
    this.level = new Int8Array(count).fill(LEVEL_NONE);
    this.pfn = new Int32Array(count);
  }

  refresh(): void {
    const { tables, mms } = this.#kernel;
    const { pte, level, pfn, count, first } = this;
    pte.fill(0);
    pfn.fill(0);
    level.fill(LEVEL_NONE);
    if (!mms.isLive(this.#mm)) return;
    const pgd = mms.pgd(this.#mm);
    if (pgd === 0) return;
    const huge = tables.hugePages;
    for (let at = 0; at < count;) {
      const vpn = first + at;
      const inBlock = vpn % huge;
      const end = Math.min(count, at + huge - inBlock);
      const pmdp = tables.find(pgd, PMD_LEVEL, vpn);
      const pmd = pmdp === 0 ? 0 : tables.get(pmdp);
      if (pteTable(pmd)) {
        const { i32 } = tables.segment;
        let ptep = tables.ptepIn(ptePfn(pmd), PTE_LEVEL, vpn);
        level.fill(PTE_LEVEL, at, end);
        for (; at < end; at++, ptep++) {
          const entry = i32[ptep]!;
          if (entry === 0) continue;
          pte[at] = entry;
          pfn[at] = ptePfn(entry);
        }
      } else if (pmd !== 0) {
        const leaf = pteHugeLeaf(pmd);
        const frame = ptePfn(pmd) + inBlock;
        for (let i = 0; at < end; at++, i++) {
          pte[at] = pmd;
          level[at] = PMD_LEVEL;
          pfn[at] = leaf ? frame + i : 0;
        }
      }
      at = end;
    }
  }
}
