import type { Memory, Segment } from "@mmu-notifier/steps";

const COUNT = 1;
const CONTENT = 2;
const CACHE = 3;
const STRIDE = 4;
/** Free word of the header row. */
const SWAPPED_OFF = 3;

/** Swap slots: how many entries refer to each, what it holds, and the frame in the swap cache, if any. */
export class Swap {
  readonly segment: Segment;

  constructor(memory: Memory, rows = 4) {
    this.segment = memory.segment("swap slots", STRIDE, rows);
  }

  /** False between swapoff and swapon. */
  get enabled(): boolean {
    return this.segment.i32[SWAPPED_OFF] === 0;
  }

  setEnabled(enabled: boolean): void {
    this.segment.i32[SWAPPED_OFF] = enabled ? 0 : 1;
  }

  /** folio_alloc_swap(): a slot with no users yet. */
  alloc(content: number): number {
    const slot = this.segment.alloc();
    this.segment.i32[slot * STRIDE + CONTENT] = content;
    return slot;
  }

  /** {@link alloc} of `pages` slots in a row, aligned to their number. */
  allocRun(pages: number): number {
    return this.segment.allocRun(pages, pages);
  }

  /** swap_duplicate(). */
  get(slot: number): void {
    this.segment.i32[slot * STRIDE + COUNT]!++;
  }

  /** swap_free(): frees the slot when nobody refers to it and no frame caches it; true when it did. */
  put(slot: number): boolean {
    const at = slot * STRIDE;
    if (this.segment.i32[at + COUNT]! > 0) this.segment.i32[at + COUNT]!--;
    if (this.segment.i32[at + COUNT]! > 0 || this.segment.i32[at + CACHE]! !== 0) return false;
    this.segment.free(slot);
    return true;
  }

  /** __swap_count(). */
  count(slot: number): number {
    return this.segment.i32[slot * STRIDE + COUNT]!;
  }

  content(slot: number): number {
    return this.segment.i32[slot * STRIDE + CONTENT]!;
  }

  setContent(slot: number, content: number): void {
    this.segment.i32[slot * STRIDE + CONTENT] = content;
  }

  /** The frame in the swap cache, or 0. */
  cached(slot: number): number {
    return this.segment.i32[slot * STRIDE + CACHE]!;
  }

  setCached(slot: number, pfn: number): void {
    this.segment.i32[slot * STRIDE + CACHE] = pfn;
  }
}
