import {
  isPteMarker,
  isSwapPte,
  type Kernel,
  PFN_SHIFT,
  PG_ANON,
  PG_DIRTY,
  PG_HEAD,
  PG_HUGETLB,
  PG_KSM,
  PG_SWAPCACHE,
  PG_TAIL,
  PG_UNEVICTABLE,
  type Pte,
  PTE_UFFD_WP,
  ptePresent,
  ptePfn,
  pteUffdWp,
  SWP_MARKER_GUARD,
  SWP_MARKER_UFFD_WP,
  swpType,
} from "@mmu-notifier/core";
import { ARENA_PAGE, SLACK_PAGES } from "../script.js";
import { PageView } from "./page-view.js";

/** `[first page, number of pages, flags, id, map count]`; ids are consecutive in a run that has one. */
export type PageRun = readonly [first: number, pages: number, flags: string, id: number, mapcount: number];

const P = 1 << 0;
const S = 1 << 1;
const F = 1 << 2;
const X = 1 << 3;
const W = 1 << 4;
const G = 1 << 6;
const H = 1 << 7;
const Z = 1 << 8;
const K = 1 << 9;
const T = 1 << 10;
const U = 1 << 11;
const SWAPCACHE = 1 << 12;
const DIRTY = 1 << 13;
const LETTERS = ["P", "S", "F", "X", "W", "Y", "G", "H", "Z", "K", "T", "U", "s", "d"];

/** How much higher the entry of the next frame is. */
const ONE_PAGE = 1 << PFN_SHIFT;

const flagTexts: string[] = [];

function flagText(flags: number): string {
  let text = flagTexts[flags];
  if (text === undefined) {
    text = LETTERS.filter((_, bit) => (flags & (1 << bit)) !== 0).join("");
    flagTexts[flags] = text;
  }
  return text;
}

/**
 * The states of an arena's pages as /proc/self/pagemap, kpageflags and PAGEMAP_SCAN would show them, as runs. Pages are told
 * apart by small numbers: a frame keeps its number while two snapshots in a row see it mapped in the arena.
 */
export class PageSnapshots {
  readonly view: PageView;
  readonly #kernel: Kernel;
  #ids = new Int32Array(256);
  /** The snapshot that last saw each frame. */
  #seen = new Int32Array(256);
  #snapshot = 1;
  #nextId = 1;

  constructor(kernel: Kernel, mm: number, arena: number) {
    this.#kernel = kernel;
    this.view = new PageView(kernel, mm, ARENA_PAGE, arena + SLACK_PAGES);
  }

  /** Starts afresh: frames that were seen before are new. */
  begin(): void {
    this.#snapshot += 2;
    this.#nextId = 1;
  }

  take(): PageRun[] {
    const { view } = this;
    const { pages } = this.#kernel;
    view.refresh();
    this.#snapshot++;
    this.#reserve(pages.segment.used);
    const runs: PageRun[] = [];
    const { pte: entries, pfn: frames, level: levels, used } = view;
    let head = 0;
    let before = 0;
    let lastFlags = 0;
    let first = -1;
    let flags = 0;
    let id = 0;
    let mapcount = 0;
    for (let at = 0; at < used; at++) {
      const pte = entries[at]!;
      if (pte === 0) {
        if (first >= 0) runs.push([first, at - first, flagText(flags), id, mapcount]);
        first = -1;
        head = 0;
        continue;
      }
      const pfn = frames[at]!;
      const level = levels[at]!;
      // The next page of a folio, mapped like the one before: what belongs to the folio was looked up for that.
      const ownFlags =
        head !== 0 && pte - before === (level > 0 ? 0 : ONE_PAGE) && pages.isTailOf(pfn, head)
          ? this.#flagsBehind(lastFlags, level, pfn)
          : this.#flags(pte, level, pfn);
      const shown = (ownFlags & P) !== 0 && (ownFlags & Z) === 0;
      head = shown ? pages.head(pfn) : 0;
      before = pte;
      lastFlags = ownFlags;
      const ownId = shown ? this.#id(pfn) : 0;
      const ownMapcount = (ownFlags & P) === 0 ? -1 : shown ? pages.totalMapcount(pfn) : 0;
      if (first < 0 || ownFlags !== flags || ownMapcount !== mapcount || ownId !== (id === 0 ? 0 : id + at - first)) {
        if (first >= 0) runs.push([first, at - first, flagText(flags), id, mapcount]);
        first = at;
        flags = ownFlags;
        id = ownId;
        mapcount = ownMapcount;
      }
      if (level > 0 && shown) at = this.#alike(at, pte, head, id - first);
    }
    if (first >= 0) runs.push([first, used - first, flagText(flags), id, mapcount]);
    return runs;
  }

  /** The flags of a page whose neighbour in the folio, mapped alike, has `flags`: single entries may be shared one by one. */
  #flagsBehind(flags: number, level: number, pfn: number): number {
    if (level > 0) return flags;
    return this.#kernel.pages.totalMapcount(pfn) === 1 ? flags | X : flags & ~X;
  }

  /**
   * The last page after `at` of the same huge entry that goes into the same run: mapped as often as `at`, and numbered in step with
   * the pages.
   *
   * @param offset what a page's id is above the page
   */
  #alike(at: number, pte: Pte, head: number, offset: number): number {
    const { pages } = this.#kernel;
    const { pte: entries, pfn: frames, used } = this.view;
    const mapcount = pages.mapcount(frames[at]!);
    let last = at;
    for (; last + 1 < used && entries[last + 1] === pte; last++) {
      const pfn = frames[last + 1]!;
      if (!pages.isTailOf(pfn, head) || pages.mapcount(pfn) !== mapcount) return last;
      const seen = this.#seen[pfn]! >= this.#snapshot - 1;
      if ((seen ? this.#ids[pfn] : this.#nextId) !== offset + last + 1) return last;
      if (!seen) this.#ids[pfn] = this.#nextId++;
      this.#seen[pfn] = this.#snapshot;
    }
    return last;
  }

  #id(pfn: number): number {
    const seen = this.#seen[pfn]!;
    if (seen < this.#snapshot - 1) this.#ids[pfn] = this.#nextId++;
    this.#seen[pfn] = this.#snapshot;
    return this.#ids[pfn]!;
  }

  #flags(pte: Pte, level: number, pfn: number): number {
    const huge = level > 0 ? H : 0;
    if (!ptePresent(pte)) {
      if (!isSwapPte(pte)) return 0;
      // pagemap calls the marker of a small page swapped out, that of a hugetlb page not.
      return (huge !== 0 && isPteMarker(pte) ? huge : S | huge) | this.#markerFlags(pte);
    }
    const { pages } = this.#kernel;
    const wp = pteUffdWp(pte) ? W : 0;
    if (this.#isZero(pfn)) return P | Z | wp | (level > 0 ? F | H : 0);
    const own = pages.flags(pfn);
    const head = (own & PG_TAIL) === 0 ? own : pages.flags(pages.head(pfn));
    const anon = (head & PG_ANON) !== 0;
    let flags = P | huge | wp;
    if (!anon) flags |= F;
    // For a huge entry pagemap asks about the first page of the block and says it of all.
    if (pages.totalMapcount(level > 0 ? ptePfn(pte) : pfn) === 1) flags |= X;
    if ((head & PG_KSM) !== 0) flags |= K;
    if ((head & (PG_HEAD | PG_HUGETLB)) === PG_HEAD) flags |= T;
    if ((head & PG_UNEVICTABLE) !== 0) flags |= U;
    if ((head & PG_SWAPCACHE) !== 0) flags |= SWAPCACHE;
    if (!anon && (head & PG_DIRTY) !== 0) flags |= DIRTY;
    return flags;
  }

  #markerFlags(pte: Pte): number {
    if (isPteMarker(pte)) {
      const type = swpType(pte);
      const what = type === SWP_MARKER_GUARD ? G : type === SWP_MARKER_UFFD_WP ? W : 0;
      // PAGEMAP_SCAN protects a guard page like a swap entry.
      return (pte & PTE_UFFD_WP) !== 0 ? what | W : what;
    }
    return (pte & PTE_UFFD_WP) !== 0 ? W : 0;
  }

  /** The shared zero page, or a page of the shared huge zero page. */
  #isZero(pfn: number): boolean {
    const { pages } = this.#kernel;
    // The zero page's private word is the huge zero folio, once there is one.
    const hugeZero = pages.private(pages.zeroPfn);
    return pfn === pages.zeroPfn || (hugeZero !== 0 && pages.head(pfn) === hugeZero);
  }

  #reserve(frames: number): void {
    if (frames <= this.#ids.length) return;
    const size = Math.max(frames, this.#ids.length * 2);
    const ids = new Int32Array(size);
    const seen = new Int32Array(size);
    ids.set(this.#ids);
    seen.set(this.#seen);
    this.#ids = ids;
    this.#seen = seen;
  }
}
