import type { Segment } from "@mmu-notifier/steps";
import type { DeviceMemory } from "../device-memory.js";
import { SdkError } from "../errors.js";

const FLAGS = 1;
const GFN = 1; // doubles: words 2 and 3,
const VPN = 2; // 4 and 5,
const PAGES = 3; // 6 and 7
const STRIDE = 8;

/** Writes of the guest are recorded, so mappings start without the write right. */
export const MEMSLOT_LOG_DIRTY = 1 << 0;

/** A run of guest frames and the host pages behind it. */
export interface Memslot {
  /** First guest frame. */
  readonly gfn: number;
  /** First page of the host's address space. */
  readonly vpn: number;
  readonly pages: number;
  readonly flags?: number;
}

/** One piece of an address range that a slot maps. */
export interface GfnRange {
  readonly start: number;
  readonly end: number;
}

/**
 * Which guest frames are backed by which host pages. Methods are for steps and for set-up.
 *
 * @public
 */
export class Memslots {
  readonly #slots: Segment;

  constructor(memory: DeviceMemory) {
    this.#slots = memory.segment("memslots", STRIDE, 2);
  }

  /**
   * Adds a slot and returns its number.
   *
   * @throws SdkError SDK_MEMSLOT_INVALID when it overlaps another one's guest frames, or is empty
   */
  add({ gfn, vpn, pages, flags = 0 }: Memslot): number {
    if (pages < 1)
      throw new SdkError(
        "SDK_MEMSLOT_INVALID",
        `a memslot of ${pages} pages at guest frame ${gfn}. Give it at least one page`,
        { gfn, pages },
      );
    for (const other of this.#live()) {
      const of = this.get(other);
      if (of.gfn < gfn + pages && of.gfn + of.pages > gfn) {
        throw new SdkError(
          "SDK_MEMSLOT_INVALID",
          `guest frames ${gfn} to ${gfn + pages - 1} overlap memslot ${other}. Remove that one first`,
          { gfn, pages, slot: other },
        );
      }
    }
    const slot = this.#slots.alloc();
    this.#slots.i32[slot * STRIDE + FLAGS] = flags;
    this.#slots.f64[(slot * STRIDE) / 2 + GFN] = gfn;
    this.#slots.f64[(slot * STRIDE) / 2 + VPN] = vpn;
    this.#slots.f64[(slot * STRIDE) / 2 + PAGES] = pages;
    return slot;
  }

  remove(slot: number): void {
    this.#slots.free(slot);
  }

  get(slot: number): Required<Memslot> {
    const { i32, f64 } = this.#slots;
    const at = (slot * STRIDE) / 2;
    return { gfn: f64[at + GFN]!, vpn: f64[at + VPN]!, pages: f64[at + PAGES]!, flags: i32[slot * STRIDE + FLAGS]! };
  }

  setFlags(slot: number, flags: number): void {
    this.#slots.i32[slot * STRIDE + FLAGS] = flags;
  }

  /** The slot that holds guest frame `gfn`, or 0. */
  ofGfn(gfn: number): number {
    for (const slot of this.#live()) {
      const of = this.get(slot);
      if (gfn >= of.gfn && gfn < of.gfn + of.pages) return slot;
    }
    return 0;
  }

  /** The lowest guest frame behind host page `vpn`, or -1. */
  gfnOf(vpn: number): number {
    const [range] = this.overlaps(vpn, vpn + 1);
    return range === undefined ? -1 : range.start;
  }

  /** The host page behind guest frame `gfn`, or -1. */
  vpnOf(gfn: number): number {
    const slot = this.ofGfn(gfn);
    if (slot === 0) return -1;
    const of = this.get(slot);
    return of.vpn + (gfn - of.gfn);
  }

  /** The guest frames behind host pages [start, end), slot by slot. */
  overlaps(start: number, end: number): GfnRange[] {
    const ranges: GfnRange[] = [];
    for (const slot of this.#live()) {
      const { gfn, vpn, pages } = this.get(slot);
      const from = Math.max(start, vpn);
      const to = Math.min(end, vpn + pages);
      if (from < to) ranges.push({ start: gfn + (from - vpn), end: gfn + (to - vpn) });
    }
    return ranges;
  }

  #live(): number[] {
    const live: number[] = [];
    for (let slot = 1; slot < this.#slots.used; slot++) if (this.#slots.isLive(slot)) live.push(slot);
    return live;
  }
}
