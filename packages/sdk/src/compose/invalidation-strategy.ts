import { alignedSpan, type PageSpan } from "../page-span.js";

/** The whole address space. */
const EVERYTHING: readonly PageSpan[] = [{ start: 0, pages: Infinity }];

/**
 * Which pieces one invalidation is made of: pages [start, end) as spans, each of which the hardware takes in one command. Together
 * they cover the range; what they cover beyond it is lost for nothing and is fetched again.
 *
 * @param end one past the last page; Infinity is the whole address space
 */
export type InvalidationStrategy = (start: number, end: number) => readonly PageSpan[];

/** One piece a page, as a TLBI by VA or an ATSD. A range without end cannot be told in pages: it is one piece, everything. */
export function pageByPage(): InvalidationStrategy {
  return (start, end) =>
    end === Infinity ? EVERYTHING : Array.from({ length: end - start }, (_, i) => ({ start: start + i, pages: 1 }));
}

/** One naturally aligned power of two of pages that covers all of it, as ATC_INV and VT-d's address mask need. */
export function powerOfTwoSpan(): InvalidationStrategy {
  return (start, end) => [alignedSpan(start, end)];
}

/** Naturally aligned powers of two that cover exactly the range, the largest that fit first come first. */
export function powerOfTwoPieces(): InvalidationStrategy {
  return (start, end) => {
    if (end === Infinity) return EVERYTHING;
    const pieces: PageSpan[] = [];
    for (let at = start; at < end;) {
      let pages = 1;
      while (at % (pages * 2) === 0 && at + pages * 2 <= end) pages *= 2;
      pieces.push({ start: at, pages });
      at += pages;
    }
    return pieces;
  };
}

/** Everything, whatever changed: a TLBI by ASID. */
export function wholeAddressSpace(): InvalidationStrategy {
  return () => EVERYTHING;
}

/**
 * `small` for fewer than `pages` pages, everything from there on (inclusive): arm-smmu-v3's CMDQ_MAX_TLBI_OPS.
 *
 * @param pages the first size that costs more than refilling everything
 */
export function upToPages(pages: number, small: InvalidationStrategy): InvalidationStrategy {
  return (start, end) => (end - start >= pages ? EVERYTHING : small(start, end));
}
