import { type Lock, lockAt, type LockClass, lockClass, type Memory, type Segment } from "@mmu-notifier/steps";
import { type Geometry, pagesPerEntry } from "./geometry.js";
import { mkTable, type Pte, pteHugeLeaf, pteNone, ptePfn, pteTable } from "./pte.js";

const LEVEL = 0;
const COUNT = 1;
const PTL = 2;
const HEADER = 4;

/** Levels by the kernel's names, counted from the leaves. */
export const PTE_LEVEL = 0;
export const PMD_LEVEL = 1;
export const PUD_LEVEL = 2;

/** The word of an entry inside the page-table segment, what the kernel calls a `pte_t *`. 0 is NULL. */
export type Ptep = number;

/** The page-table lock (split: one a table page). */
const PTL_CLASS: LockClass = lockClass("page_table_lock", "spinlock");

/**
 * The page tables of all mms, as rows of one segment: row header, then the entries as packed int32 words.
 *
 * @public
 */
export class PageTables {
  readonly geometry: Geometry;
  readonly segment: Segment;
  /** Base pages that one entry of a level maps; index 0 is the pte. */
  readonly span: readonly number[];
  readonly #mask: readonly number[];
  readonly #locks: Lock[] = [];

  constructor(memory: Memory, geometry: Geometry, rows = 8) {
    this.geometry = geometry;
    this.segment = memory.segment("page tables", HEADER + 2 ** Math.max(...geometry.bits), rows);
    this.span = geometry.bits.map((_, level) => pagesPerEntry(geometry, level));
    this.#mask = geometry.bits.map((bits) => 2 ** bits - 1);
  }

  /** The top level: entries of a pgd. */
  get top(): number {
    return this.geometry.bits.length - 1;
  }

  /** HPAGE_PMD_NR: base pages of a PMD-mapped huge page. */
  get hugePages(): number {
    return this.span[PMD_LEVEL]!;
  }

  /** First page of the address space. */
  get first(): number {
    return this.geometry.first ?? 0;
  }

  /** End of the whole address space (exclusive, in pages). */
  get pages(): number {
    return this.first + this.span[this.top]! * 2 ** this.geometry.bits[this.top]!;
  }

  /** Allocates an empty table whose entries are of `level`. */
  create(level: number): number {
    return this.segment.alloc(level + 1);
  }

  /** Frees a table; it must be empty of tables below. */
  free(table: number): void {
    this.segment.free(table);
  }

  /** Level of the entries of `table`. */
  level(table: number): number {
    return this.segment.i32[table * this.segment.stride + LEVEL]! - 1;
  }

  /** Entries of `table` that are not none. */
  count(table: number): number {
    return this.segment.i32[table * this.segment.stride + COUNT]!;
  }

  /** The lock that guards the entries of `table`. */
  ptl(table: number): Lock {
    return (this.#locks[table] ??= lockAt(PTL_CLASS, this.segment, table * this.segment.stride + PTL, `ptl ${table}`));
  }

  /** Index of the entry for page `vpn` in a table whose entries are of `level`. */
  index(level: number, vpn: number): number {
    const span = this.span[level]!;
    return (span === 1 ? vpn : Math.floor(vpn / span)) & this.#mask[level]!;
  }

  /** Where the entry for page `vpn` lies in `table`, whose entries are of `level`. */
  ptepIn(table: number, level: number, vpn: number): Ptep {
    return table * this.segment.stride + HEADER + this.index(level, vpn);
  }

  /** Behind the last entry of `table`, whose entries are of `level`. */
  endOf(table: number, level: number): Ptep {
    return table * this.segment.stride + HEADER + this.#mask[level]! + 1;
  }

  /** The table that an entry lies in. */
  tableOf(ptep: Ptep): number {
    return Math.floor(ptep / this.segment.stride);
  }

  get(ptep: Ptep): Pte {
    return this.segment.i32[ptep]!;
  }

  /** Stores an entry: the single place where a page-table word changes. */
  set(ptep: Ptep, pte: Pte): void {
    const { i32, stride } = this.segment;
    const before = i32[ptep]!;
    if (pteNone(before) !== pteNone(pte)) i32[Math.floor(ptep / stride) * stride + COUNT]! += pteNone(pte) ? -1 : 1;
    i32[ptep] = pte;
  }

  /**
   * The entry of `level` for page `vpn`, or 0 when an upper table is missing or an upper entry is a leaf.
   */
  find(pgd: number, level: number, vpn: number): Ptep {
    let table = pgd;
    for (let l = this.top; l > level; l--) {
      const entry = this.get(this.ptepIn(table, l, vpn));
      if (!pteTable(entry)) return 0;
      table = ptePfn(entry);
    }
    return this.ptepIn(table, level, vpn);
  }

  /** As {@link find}, allocating missing tables; 0 only when an upper entry is a leaf or not present. */
  findOrCreate(pgd: number, level: number, vpn: number): Ptep {
    let table = pgd;
    for (let l = this.top; l > level; l--) {
      const ptep = this.ptepIn(table, l, vpn);
      let entry = this.get(ptep);
      if (pteNone(entry)) {
        entry = mkTable(this.create(l - 1));
        this.set(ptep, entry);
      } else if (!pteTable(entry)) return 0;
      table = ptePfn(entry);
    }
    return this.ptepIn(table, level, vpn);
  }

  /** The leaf entry that translates `vpn` at whatever level, or 0 when there is none or it is none. */
  leaf(pgd: number, vpn: number): Ptep {
    let table = pgd;
    for (let l = this.top; ; l--) {
      const ptep = this.ptepIn(table, l, vpn);
      const entry = this.get(ptep);
      if (l === PTE_LEVEL) return pteNone(entry) ? 0 : ptep;
      if (pteHugeLeaf(entry) || (!pteTable(entry) && !pteNone(entry))) return ptep;
      if (pteNone(entry)) return 0;
      table = ptePfn(entry);
    }
  }

  /** Level of the entry at `ptep`. */
  levelOf(ptep: Ptep): number {
    return this.level(this.tableOf(ptep));
  }
}
