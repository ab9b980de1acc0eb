import type { Segment } from "@mmu-notifier/steps";
import type { DeviceMemory } from "../device-memory.js";

const STATE = 0;
const ASID = 1;
const VPN = 1; // as a double: words 2 and 3
const STRIDE = 4;

/** The access looks for its translation; an invalidation makes it start again. */
const WALKING = 1;
const KILLED = 2;
/** The access uses a translation; a barrier after an invalidation waits for it. */
const USING = 3;
const DRAINING = 4;

/**
 * Accesses that a piece of hardware has under way, so that its barriers can wait for the right ones.
 *
 * An invalidation that covers an access which still walks kills it: whatever it read may not be kept or used. One that covers
 * an access which already has its translation marks it, and the next barrier waits until it is complete. Accesses that begin
 * later are nobody's concern. Methods are for steps.
 *
 * @public
 */
export class InFlight {
  readonly #segment: Segment;

  constructor(memory: DeviceMemory, name: string) {
    this.#segment = memory.segment(`${name} in flight`, STRIDE, 4);
  }

  /** An access begins to look for its translation; returns its row. */
  walk(asid: number, vpn: number): number {
    return this.#begin(WALKING, asid, vpn);
  }

  /** An access begins to use a translation that it found; returns its row. */
  use(asid: number, vpn: number): number {
    return this.#begin(USING, asid, vpn);
  }

  /** A walk came to its end: from now on the access uses what it found. */
  found(row: number): void {
    this.#segment.i32[row * STRIDE + STATE] = USING;
  }

  end(row: number): void {
    this.#segment.free(row);
  }

  isKilled(row: number): boolean {
    return this.#segment.i32[row * STRIDE + STATE] === KILLED;
  }

  /**
   * An invalidation of pages [start, end) of `asid` (-1: of all) takes effect.
   *
   * @param region pages that a block, or a table of leaf entries, maps. A walk for any page of the region may come out with a block
   *   that covers the range, or
   * may have read the entry that leads to a table that goes. @defaultValue 1, for tables of base pages
   */
  cover(asid: number, start: number, end: number, region = 1): void {
    const { i32, f64, used } = this.#segment;
    for (let row = 1; row < used; row++) {
      const at = row * STRIDE;
      const state = i32[at + STATE]!;
      if (state === 0 || (asid !== -1 && i32[at + ASID] !== asid)) continue;
      const vpn = f64[at / 2 + VPN]!;
      const first = vpn - (vpn % region);
      if (state === WALKING && first < end && first + region > start) i32[at + STATE] = KILLED;
      else if (state === USING && vpn >= start && vpn < end) i32[at + STATE] = DRAINING;
    }
  }

  /** No access uses a translation that was invalidated: a barrier may complete. */
  get drained(): boolean {
    const { i32, used } = this.#segment;
    for (let row = 1; row < used; row++) if (i32[row * STRIDE + STATE] === DRAINING) return false;
    return true;
  }

  /** Accesses under way. */
  get count(): number {
    return this.#segment.live;
  }

  #begin(state: number, asid: number, vpn: number): number {
    const row = this.#segment.alloc(state);
    this.#segment.i32[row * STRIDE + ASID] = asid;
    this.#segment.f64[(row * STRIDE) / 2 + VPN] = vpn;
    return row;
  }
}
