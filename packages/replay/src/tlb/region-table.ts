import { TraceError } from "../errors.js";

/** Bits of the page number inside a region: a region is 4 GiB. */
const PAGE_BITS = 20;
/** Pages of a region. */
export const REGION_PAGES = 2 ** PAGE_BITS;
/** Bits of a key below the region: the page, and 1 for a write. */
const REGION_SHIFT = PAGE_BITS + 1;
/** Regions that 11 bits name; 0 is left out so that no key is 0, which marks an empty TLB entry. */
const LIMIT = 2047;

/**
 * Gives every 4 GiB of every address space that a trace touches a number of 11 bits, so that an access fits one int32:
 * `region << 21 | page << 1 | write`. A TLB entry is the same word, so a hit is two compares.
 */
export class RegionTable {
  readonly #file: string;
  readonly #index = new Map<number, number>();
  /** First page of each region, and its address space; index 0 is unused. */
  readonly #base: number[] = [0];
  readonly #asid: number[] = [0];
  #lastKey = -1;
  #last = 0;

  constructor(file = "trace") {
    this.#file = file;
  }

  /** Regions so far, with the unused number 0. */
  get size(): number {
    return this.#base.length;
  }

  /**
   * The key of an access.
   *
   * @param vpn page number, below 2^52
   * @param write 1 for a write, 0 for a read
   * @param asid address space, below 2^20
   * @throws TraceError TRACE_REGIONS
   */
  key(vpn: number, write: number, asid = 0): number {
    return (this.regionOf(Math.floor(vpn / REGION_PAGES), asid) << REGION_SHIFT) | ((vpn % REGION_PAGES) << 1) | write;
  }

  /** The number of a region by the bits of its pages above the lowest 20. */
  regionOf(high: number, asid = 0): number {
    const key = asid * 2 ** 32 + high;
    if (key === this.#lastKey) return this.#last;
    let region = this.#index.get(key);
    if (region === undefined) {
      region = this.#base.length;
      if (region > LIMIT) {
        throw new TraceError(
          "TRACE_REGIONS",
          this.#file,
          { line: 0, column: 0 },
          `touches more than ${LIMIT} regions of 4 GiB. Replay a part of it`,
        );
      }
      this.#index.set(key, region);
      this.#base.push(high * REGION_PAGES);
      this.#asid.push(asid);
    }
    this.#lastKey = key;
    this.#last = region;
    return region;
  }

  /** The page number that a tag (a key without its write bit, `key >>> 1`) stands for. */
  vpn(tag: number): number {
    return this.#base[tag >>> PAGE_BITS]! + (tag & (REGION_PAGES - 1));
  }

  /** The address space of a tag. */
  asid(tag: number): number {
    return this.#asid[tag >>> PAGE_BITS]!;
  }

  /** The tag of a page, or -1 when its region was never touched. */
  tag(vpn: number, asid = 0): number {
    const region = this.#index.get(asid * 2 ** 32 + Math.floor(vpn / REGION_PAGES));
    return region === undefined ? -1 : ((region << PAGE_BITS) | (vpn % REGION_PAGES)) >>> 0;
  }
}
