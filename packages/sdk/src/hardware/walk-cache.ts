import { type Segment, type Step, step } from "@mmu-notifier/steps";
import type { HardwareContext } from "../context.js";
import type { CachedTable } from "../binding.js";
import type { AccessRequest } from "./translation.js";

const ASID = 1;
const FIRST = 1; // as a double: words 2 and 3
const TABLE = 4;
const STRIDE = 6;

/**
 * A cache of the entries above the last level: for a region of pages, the table of their leaf entries. An invalidation that says
 * "leaf only" leaves it alone, which is wrong when a table was freed. Fully associative; the lowest row makes room.
 *
 * @public
 */
export class WalkCache {
  readonly #segment: Segment;
  readonly #entries: number;
  readonly #span: number;
  readonly #context: HardwareContext;
  readonly #asid: () => number;

  /**
   * @param span pages that one table of leaf entries maps
   * @param asid the tag of this binding; called in steps
   */
  constructor(
    context: HardwareContext,
    options: { readonly entries: number; readonly span: number; readonly asid: () => number },
  ) {
    this.#context = context;
    this.#entries = options.entries;
    this.#span = options.span;
    this.#asid = options.asid;
    this.#segment = context.memory.segment("walk cache", STRIDE, options.entries);
  }

  /** The table for the page of the request, or 0. */
  lookup(request: AccessRequest): Step {
    return step("walk-cache lookup", () => {
      const row = this.#find(this.#asid(), request.vpn);
      return row === 0 ? 0 : this.#segment.i32[row * STRIDE + TABLE]!;
    });
  }

  /** Keeps `table` for the region of the request; 1 when an invalidation overtook the walk. */
  insert({ held, vpn }: AccessRequest, table: number): Step {
    return step("walk-cache insert", () => {
      if (held.killed()) {
        held.end();
        this.#context.costs.count("killedWalks");
        return 1;
      }
      const asid = this.#asid();
      let row = this.#find(asid, vpn);
      if (row === 0) {
        if (this.#segment.live >= this.#entries) this.#makeRoom();
        row = this.#segment.alloc();
      }
      this.#segment.i32[row * STRIDE + ASID] = asid;
      this.#segment.f64[(row * STRIDE) / 2 + FIRST] = vpn - (vpn % this.#span);
      this.#segment.i32[row * STRIDE + TABLE] = table;
      return 0;
    });
  }

  /** Drops regions of `asid` (-1: of all) that overlap pages [start, end). Inside steps. */
  invalidate(asid: number, start: number, end: number): void {
    for (let row = this.#segment.used - 1; row >= 1; row--) {
      const at = row * STRIDE;
      if (this.#segment.i32[at] === 0 || (asid !== -1 && this.#segment.i32[at + ASID] !== asid)) continue;
      const first = this.#segment.f64[at / 2 + FIRST]!;
      if (first < end && first + this.#span > start) this.#segment.free(row);
    }
  }

  /** What the cache holds of this binding: regions of pages and the tables it would walk for them. For checkers and pictures. */
  tables(): CachedTable[] {
    const { i32, f64, used } = this.#segment;
    const found: CachedTable[] = [];
    for (let row = 1; row < used; row++) {
      const at = row * STRIDE;
      if (i32[at] !== 0 && i32[at + ASID] === this.#asid())
        found.push({ vpn: f64[at / 2 + FIRST]!, pages: this.#span, table: i32[at + TABLE]! });
    }
    return found;
  }

  #find(asid: number, vpn: number): number {
    const first = vpn - (vpn % this.#span);
    for (let row = 1; row < this.#segment.used; row++) {
      const at = row * STRIDE;
      if (
        this.#segment.i32[at] !== 0 &&
        this.#segment.i32[at + ASID] === asid &&
        this.#segment.f64[at / 2 + FIRST] === first
      )
        return row;
    }
    return 0;
  }

  /** Drops the lowest row; the others move down. */
  #makeRoom(): void {
    const { i32, used } = this.#segment;
    i32.copyWithin(STRIDE, 2 * STRIDE, used * STRIDE);
    this.#segment.free(used - 1);
  }
}
