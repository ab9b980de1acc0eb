/** A run of pages. */
export interface PageSpan {
  /** First page. */
  readonly start: number;
  /** Number of pages; Infinity, from page 0 on, is everything. */
  readonly pages: number;
}

/** The smallest aligned power of two that covers pages [start, end): pages 7 and 8 need 0 to 15. */
export function alignedSpan(start: number, end: number): PageSpan {
  if (end === Infinity) return { start: 0, pages: Infinity };
  let pages = 1;
  while (Math.floor(start / pages) !== Math.floor((end - 1) / pages)) pages *= 2;
  return { start: start - (start % pages), pages };
}
