/** Bytes of a base page. */
export const PAGE_SIZE = 4096;
export const PAGE_SHIFT = 12;

/**
 * The shape of the page tables: index bits of each level from the last (pte) to the first (pgd). Real machines have
 * [9, 9, 9, 9]; a checker uses fewer bits so that a state stays small, and a "huge page" then has fewer base pages.
 */
export interface Geometry {
  readonly bits: readonly number[];
  /**
   * First page of the address space, a multiple of all that the tables map: what real tables of more levels map with one entry a
   * level. Lower addresses are refused as if they were too high. @defaultValue 0
   */
  readonly first?: number;
}

/** 4 KiB pages, four levels, 48-bit addresses. */
export const FOUR_LEVEL: Geometry = { bits: [9, 9, 9, 9] };

/** Two levels of four entries: huge pages of four base pages, an address space of sixteen. For exhaustive checks. */
export const TINY: Geometry = { bits: [2, 2] };

/** Base pages that an entry of `level` maps (level 0 is the pte). */
export function pagesPerEntry(geometry: Geometry, level: number): number {
  let pages = 1;
  for (let l = 0; l < level; l++) pages *= 2 ** geometry.bits[l]!;
  return pages;
}
