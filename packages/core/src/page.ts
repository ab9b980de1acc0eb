import { type Memory, type Segment, Vectors } from "@mmu-notifier/steps";

const FLAGS = 0;
const REFCOUNT = 1;
const MAPCOUNT = 2;
const MAPPING = 3;
const INDEX = 2; // as a double: words 4 and 5
const CONTENT = 6;
const PRIVATE = 7;
const HEAD = 8;
const ENTIRE_MAPCOUNT = 9;
const PINCOUNT = 10;
const NODE = 11;
const STRIDE = 12;

/** Flags of a frame, as struct page's. PG_ALLOCATED is the row's mark and set while the frame is in use. */
export const PG_ALLOCATED = 1 << 0;
/** PAGE_MAPPING_ANON: `mapping` is an anon_vma. */
export const PG_ANON = 1 << 1;
export const PG_ANON_EXCLUSIVE = 1 << 2;
export const PG_KSM = 1 << 3;
export const PG_SWAPCACHE = 1 << 4;
export const PG_LOCKED = 1 << 5;
/** Visible to reclaim; a page still in a CPU's batch is not. */
export const PG_LRU = 1 << 6;
export const PG_DIRTY = 1 << 7;
/** First frame of a compound page (THP, hugetlb, large folio); `order` is in {@link Pages.order}. */
export const PG_HEAD = 1 << 8;
export const PG_TAIL = 1 << 9;
export const PG_HUGETLB = 1 << 10;
export const PG_SWAPBACKED = 1 << 11;
export const PG_WRITEBACK = 1 << 12;
export const PG_UNEVICTABLE = 1 << 13;
export const PG_MLOCKED = 1 << 14;
export const PG_RESERVED = 1 << 15;
export const PG_HWPOISON = 1 << 16;
export const PG_ACTIVE = 1 << 17;
export const PG_UPTODATE = 1 << 18;
/** ZONE_DEVICE memory: its frame is never freed to the allocator. */
export const PG_DEVICE = 1 << 19;
export const PG_REFERENCED = 1 << 20;
export const PG_WORKINGSET = 1 << 21;
/** MADV_FREE'd: clean anon page that reclaim may drop (swapbacked cleared). */
export const PG_LAZYFREE = 1 << 22;
/** The next batch of readahead starts when this page is used. */
export const PG_READAHEAD = 1 << 23;
/** The buffer (struct buffer_head) of a page of a large folio of a disk file is dirty. */
export const PG_BUFFER_DIRTY = 1 << 24;
/** Flags of a page, not of its folio. */
const OWN_FLAGS = PG_ANON_EXCLUSIVE | PG_HWPOISON | PG_BUFFER_DIRTY;

/**
 * Page frames: one row a frame, the row number is the pfn. A compound page is a run of rows; what belongs to the folio
 * (references, mapping, index) is kept in its head, what belongs to the page (map count, AnonExclusive, content) in each.
 *
 * @public
 */
export class Pages {
  readonly segment: Segment;
  /** The shared zero page. */
  readonly zeroPfn: number;
  /** A CPU's list of free single frames, last freed last. Frames that went into a folio meanwhile are still in it. */
  readonly #freed: Vectors | undefined;
  readonly #pcpList: number = 0;

  constructor(memory: Memory, lastFreedFirst = false, frames = 16) {
    this.segment = memory.segment("pages", STRIDE, frames);
    if (lastFreedFirst) {
      this.#freed = new Vectors(memory, "pcp list", 62);
      this.#pcpList = this.#freed.create();
    }
    this.zeroPfn = this.segment.alloc(PG_ALLOCATED | PG_RESERVED | PG_UPTODATE);
    this.#set(this.zeroPfn, REFCOUNT, 1);
  }

  /**
   * Allocates 2^order frames with one reference, zero-filled, and returns the first. Order 0 takes the lowest free frame, or
   * the last freed one, a larger order the lowest naturally aligned run.
   */
  alloc(order = 0, flags = 0): number {
    if (order === 0) {
      const pfn = this.#freed === undefined ? this.segment.alloc(PG_ALLOCATED | flags) : this.#lastFreed(flags);
      this.#set(pfn, REFCOUNT, 1);
      return pfn;
    }
    const pages = 1 << order;
    const head = this.segment.allocRun(pages, pages, PG_ALLOCATED | PG_TAIL);
    for (let pfn = head; pfn < head + pages; pfn++) this.#set(pfn, HEAD, head);
    this.#set(head, FLAGS, PG_ALLOCATED | PG_HEAD | flags);
    this.#set(head, PRIVATE, order);
    this.#set(head, REFCOUNT, 1);
    return head;
  }

  /** folio_get() `by` times. */
  get(pfn: number, by = 1): void {
    this.segment.i32[this.head(pfn) * STRIDE + REFCOUNT]! += by;
  }

  /**
   * folio_put(): frees the folio when the last reference goes; true when it did.
   *
   * @param late the kernel does this only when the system call is over, so that the frame is free after all others
   */
  put(pfn: number, by = 1, late = false): boolean {
    const head = this.head(pfn);
    const at = head * STRIDE + REFCOUNT;
    this.segment.i32[at]! -= by;
    if (this.segment.i32[at]! > 0) return false;
    const pages = this.pages(head);
    const last = late || (this.segment.i32[head * STRIDE]! & PG_MLOCKED) !== 0;
    for (let p = head + pages - 1; p >= head; p--) this.segment.free(p);
    // munlock_folio() keeps a page in a batch of the CPU: its frame is free after the others.
    if (pages === 1) this.#freed?.insert(this.#pcpList, last ? 0 : this.#freed.length(this.#pcpList), head);
    return true;
  }

  #lastFreed(flags: number): number {
    const freed = this.#freed!;
    for (let count = freed.length(this.#pcpList); count > 0; count--) {
      const pfn = freed.at(this.#pcpList, count - 1);
      freed.truncate(this.#pcpList, count - 1);
      if (!this.segment.isLive(pfn)) return this.segment.allocAt(pfn, PG_ALLOCATED | flags);
    }
    return this.segment.alloc(PG_ALLOCATED | flags);
  }

  /**
   * __split_unmapped_folio(): makes single frames of a compound page; or, like the buddy allocator, halves it again and again around
   * one frame. Every part has the head's flags but that of readahead, and `own` references and one more for each page if the page cache
   * holds them.
   *
   * @param around the frame that becomes a single one, with parts as large as possible beside it; without it all become single
   */
  split(head: number, own: number, cached: boolean, around?: number): void {
    const whole = this.order(head);
    const flags = this.flags(head) & ~PG_HEAD & ~OWN_FLAGS;
    const mapping = this.mapping(head);
    const index = this.index(head);
    for (let offset = 0; offset < 1 << whole;) {
      const order = around === undefined ? 0 : orderBeside(offset, whole, around - head);
      const first = head + offset;
      const pages = 1 << order;
      const copied = offset === 0 ? flags : flags & ~PG_READAHEAD;
      for (let pfn = first; pfn < first + pages; pfn++) {
        const of = this.segment.i32[pfn * STRIDE + FLAGS]! & OWN_FLAGS;
        this.#set(pfn, FLAGS, of | (pfn === first ? copied | (order > 0 ? PG_HEAD : 0) : PG_ALLOCATED | PG_TAIL));
        this.#set(pfn, HEAD, pfn === first ? 0 : first);
        this.#set(pfn, PRIVATE, pfn === first ? order : 0);
        this.#set(pfn, REFCOUNT, pfn === first ? own + (cached ? pages : 0) : 0);
        this.#set(pfn, ENTIRE_MAPCOUNT, 0);
        this.#set(pfn, MAPPING, pfn === first ? mapping : 0);
        this.setIndex(pfn, pfn === first ? index + offset : 0);
      }
      offset += pages;
    }
  }

  /** compound_head(). */
  head(pfn: number): number {
    const at = pfn * STRIDE;
    return (this.segment.i32[at]! & PG_TAIL) !== 0 ? this.segment.i32[at + HEAD]! : pfn;
  }

  /** True for a page of the folio that begins at `head`, other than its first. */
  isTailOf(pfn: number, head: number): boolean {
    const at = pfn * STRIDE;
    return (this.segment.i32[at]! & PG_TAIL) !== 0 && this.segment.i32[at + HEAD] === head;
  }

  /** folio_order(). */
  order(pfn: number): number {
    const head = this.head(pfn);
    return (this.segment.i32[head * STRIDE]! & PG_HEAD) !== 0 ? this.segment.i32[head * STRIDE + PRIVATE]! : 0;
  }

  /** folio_nr_pages(). */
  pages(pfn: number): number {
    return 1 << this.order(pfn);
  }

  isLive(pfn: number): boolean {
    return this.segment.isLive(pfn);
  }

  /** Flags of exactly this frame (a tail has few of its own). */
  flags(pfn: number): number {
    return this.segment.i32[pfn * STRIDE]!;
  }

  /** Tests flags of the folio that `pfn` belongs to. */
  test(pfn: number, flag: number): boolean {
    return (this.segment.i32[this.head(pfn) * STRIDE]! & flag) !== 0;
  }

  /** Sets flags of the folio. */
  mark(pfn: number, flags: number): void {
    this.segment.i32[this.head(pfn) * STRIDE]! |= flags;
  }

  /** Clears flags of the folio. */
  unmark(pfn: number, flags: number): void {
    this.segment.i32[this.head(pfn) * STRIDE]! &= ~flags;
  }

  /** PageAnonExclusive(), of this very page (of the head for hugetlb). */
  anonExclusive(pfn: number): boolean {
    return (this.segment.i32[pfn * STRIDE]! & PG_ANON_EXCLUSIVE) !== 0;
  }

  setAnonExclusive(pfn: number, exclusive: boolean): void {
    if (exclusive) this.segment.i32[pfn * STRIDE]! |= PG_ANON_EXCLUSIVE;
    else this.segment.i32[pfn * STRIDE]! &= ~PG_ANON_EXCLUSIVE;
  }

  /** Sets or clears PG_BUFFER_DIRTY of pages [from, to) of the folio that begins at `head`, if it is large. */
  setBuffersDirty(head: number, from: number, to: number, dirty: boolean): void {
    if (this.order(head) === 0) return;
    for (let pfn = head + from; pfn < head + to; pfn++) {
      if (dirty) this.segment.i32[pfn * STRIDE]! |= PG_BUFFER_DIRTY;
      else this.segment.i32[pfn * STRIDE]! &= ~PG_BUFFER_DIRTY;
    }
  }

  /** folio_ref_count(). */
  refcount(pfn: number): number {
    return this.#of(this.head(pfn), REFCOUNT);
  }

  /** Mappings of this page by single entries. */
  mapcount(pfn: number): number {
    return this.#of(pfn, MAPCOUNT);
  }

  addMapcount(pfn: number, by: number): void {
    this.segment.i32[pfn * STRIDE + MAPCOUNT]! += by;
  }

  /** Mappings of the whole folio by one upper-level entry. */
  entireMapcount(pfn: number): number {
    return this.#of(this.head(pfn), ENTIRE_MAPCOUNT);
  }

  addEntireMapcount(pfn: number, by: number): void {
    this.segment.i32[this.head(pfn) * STRIDE + ENTIRE_MAPCOUNT]! += by;
  }

  /** page_mapcount(): times this page is mapped, alone or as part of its folio. */
  totalMapcount(pfn: number): number {
    return this.mapcount(pfn) + this.entireMapcount(pfn);
  }

  /** The anon_vma (PG_ANON) or inode of the folio; 0 for none. */
  mapping(pfn: number): number {
    return this.#of(this.head(pfn), MAPPING);
  }

  setMapping(pfn: number, mapping: number): void {
    this.#set(this.head(pfn), MAPPING, mapping);
  }

  /** folio->index of exactly this row, in pages; for a page of a folio use {@link pgoff}. */
  index(pfn: number): number {
    return this.segment.f64[(pfn * STRIDE) / 2 + INDEX]!;
  }

  setIndex(pfn: number, index: number): void {
    this.segment.f64[(pfn * STRIDE) / 2 + INDEX] = index;
  }

  /** page_pgoff(): index of this page in its mapping, in pages. */
  pgoff(pfn: number): number {
    const head = this.head(pfn);
    return this.index(head) + (pfn - head);
  }

  /** The modelled content of the page: one byte stands for all. */
  content(pfn: number): number {
    return this.#of(pfn, CONTENT);
  }

  setContent(pfn: number, content: number): void {
    this.#set(pfn, CONTENT, content);
  }

  /** page->private of an order-0 folio: the swap slot while in the swap cache. */
  private(pfn: number): number {
    return this.#of(pfn, PRIVATE);
  }

  setPrivate(pfn: number, value: number): void {
    this.#set(pfn, PRIVATE, value);
  }

  /** FOLL_PIN references on the folio; folio_maybe_dma_pinned() is "more than none". */
  pincount(pfn: number): number {
    return this.#of(this.head(pfn), PINCOUNT);
  }

  addPincount(pfn: number, by: number): void {
    this.segment.i32[this.head(pfn) * STRIDE + PINCOUNT]! += by;
  }

  /** page_to_nid(): the NUMA node that the frame lies in. */
  node(pfn: number): number {
    return this.#of(this.head(pfn), NODE);
  }

  setNode(pfn: number, node: number): void {
    this.#set(this.head(pfn), NODE, node);
  }

  #of(pfn: number, word: number): number {
    return this.segment.i32[pfn * STRIDE + word]!;
  }

  #set(pfn: number, word: number, value: number): void {
    this.segment.i32[pfn * STRIDE + word] = value;
  }
}

/** The order of the part that begins at `offset` after a folio of order `whole` was halved around the page at `around`. */
function orderBeside(offset: number, whole: number, around: number): number {
  for (let order = whole; order > 0; order--)
    if (offset % (1 << order) === 0 && offset >> order !== around >> order) return order;
  return 0;
}
