import { type Path, type Segment, step } from "@mmu-notifier/steps";
import type { SecondaryEntry } from "../binding.js";
import type { BindingContext } from "../context.js";
import type { AccessRequest, TranslationStage } from "../hardware/translation.js";
import type { TranslationResult } from "../hardware/translation-result.js";
import { ShadowStage } from "./shadow-stage.js";

const PFN = 1;
const VPN = 1; // as a double: words 2 and 3
const STRIDE = 4;

/**
 * Pages that a driver has pinned for its device (FOLL_LONGTERM): they cannot move, and their content cannot be replaced by a copy, so no event
 * but UNMAP matters. After an unmap the frames stay the device's, but they are not the memory of that address any more: {@link forget}
 * them then, or the device goes on with pages of an old mapping.
 *
 * @public
 */
export class PinnedPages implements TranslationStage {
  readonly #stage: ShadowStage;
  readonly #context: BindingContext<unknown, unknown>;
  /** One row a pin: a page that was forgotten while it is pinned is still to be unpinned. */
  readonly #pins: Segment;

  constructor(context: BindingContext<unknown, unknown>) {
    this.#context = context;
    this.#stage = new ShadowStage(context, "pinned");
    this.#pins = context.memory.segment("pins", STRIDE, 4);
  }

  translate(request: AccessRequest): Path<TranslationResult> {
    return this.#stage.translate(request);
  }

  /** What the table would answer now. */
  peek(vpn: number): TranslationResult {
    return this.#stage.peek(vpn);
  }

  /**
   * Pins pages [start, start + pages) and maps them. Sleeps; takes mmap_lock.
   *
   * @returns 0, or -errno with none of them pinned
   */
  *pin(start: number, pages: number, write: boolean): Path<number> {
    for (let vpn = start; vpn < start + pages; vpn++) {
      const pfn = yield* this.#context.pages.pin(vpn, write);
      if (pfn < 0) {
        yield* this.unpin(start, vpn);
        return pfn;
      }
      yield step("pinned: map", () => {
        const row = this.#pins.alloc();
        this.#pins.i32[row * STRIDE + PFN] = pfn;
        this.#pins.f64[(row * STRIDE) / 2 + VPN] = vpn;
        this.#stage.table.install(vpn, pfn, { hostWritable: write, write });
        return 0;
      });
    }
    return 0;
  }

  /** The addresses of pages [start, end) mean something else now: no access finds the frames any more. Spins, never sleeps. */
  forget(start: number, end: number): Path<number> {
    return this.#stage.zap(start, end);
  }

  /** Unmaps and unpins pages [start, end), those that were forgotten before too. */
  *unpin(start: number, end: number): Path {
    yield* this.forget(start, end);
    for (;;) {
      const pfn = yield step("pinned: next pin", () => this.#take(start, end));
      if (pfn === 0) return;
      yield* this.#context.pages.unpin(pfn);
    }
  }

  entries(): SecondaryEntry[] {
    return this.#stage.entries();
  }

  /** Pages that are pinned, forgotten or not. */
  get count(): number {
    return this.#pins.live;
  }

  #take(start: number, end: number): number {
    for (let row = this.#pins.used - 1; row >= 1; row--) {
      if (!this.#pins.isLive(row)) continue;
      const vpn = this.#pins.f64[(row * STRIDE) / 2 + VPN]!;
      if (vpn < start || vpn >= end) continue;
      const pfn = this.#pins.i32[row * STRIDE + PFN]!;
      this.#pins.free(row);
      return pfn;
    }
    return 0;
  }
}
