import {
  call,
  EFAULT,
  type HardwareContext,
  type InvalidateCounters,
  type Memslots,
  type Path,
  type Segment,
  spinUntil,
  step,
  type FaultServices,
} from "@mmu-notifier/sdk";

const PFN = 1;
const GFN = 1; // as a double: words 2 and 3
const VALID = 4;
const STRIDE = 6;

/**
 * Host frames that the kernel itself keeps mapped for the guest (struct gfn_to_pfn_cache). They are invalidated before the
 * shadow table is touched, so their refresh watches mn_active_invalidate_count, not mmu_invalidate_in_progress.
 */
export class GfnToPfnCaches {
  readonly #caches: Segment;
  readonly #memslots: Memslots;
  readonly #counters: InvalidateCounters;

  constructor(context: HardwareContext, memslots: Memslots, counters: InvalidateCounters) {
    this.#caches = context.memory.segment("gfn_to_pfn_cache", STRIDE, 2);
    this.#memslots = memslots;
    this.#counters = counters;
  }

  /** A cache for guest frame `gfn`, not yet valid; at set-up or in a step. */
  add(gfn: number): number {
    const cache = this.#caches.alloc();
    this.#caches.f64[(cache * STRIDE) / 2 + GFN] = gfn;
    return cache;
  }

  /** The frame, or 0 while the cache is invalid; in steps. */
  pfn(cache: number): number {
    return this.#caches.i32[cache * STRIDE + VALID] === 0 ? 0 : this.#caches.i32[cache * STRIDE + PFN]!;
  }

  /** gfn_to_pfn_cache_invalidate_start(): caches of host pages [start, end) may not be used any more; in a step. */
  invalidate(start: number, end: number): void {
    for (let cache = 1; cache < this.#caches.used; cache++) {
      if (!this.#caches.isLive(cache)) continue;
      const vpn = this.#vpn(cache);
      if (vpn >= start && vpn < end) this.#caches.i32[cache * STRIDE + VALID] = 0;
    }
  }

  /** kvm_gpc_refresh(): looks the frame up again until no invalidation came in between. 0 or -EFAULT. */
  *refresh(cache: number, faults: FaultServices): Path<number> {
    return yield* call("kvm_gpc_refresh", this.#refresh(cache, faults));
  }

  /** The host page behind the frame that a cache is of, or -1. */
  #vpn(cache: number): number {
    return this.#memslots.vpnOf(this.#caches.f64[(cache * STRIDE) / 2 + GFN]!);
  }

  *#refresh(cache: number, faults: FaultServices): Path<number> {
    for (;;) {
      const seq = yield spinUntil(
        "gpc: mn_active_invalidate_count",
        () => this.#counters.mnActive === 0,
        () => this.#counters.seq,
      );
      const vpn = yield step("gpc: gfn_to_hva", () => this.#vpn(cache));
      if (vpn < 0) return -EFAULT;
      const found = yield* faults.getUserPages(vpn, { write: true });
      if (found < 0) return found;
      const done = yield step("gpc: mmu_notifier_retry_cache", () => {
        if (this.#counters.mnActive !== 0 || this.#counters.seq !== seq || this.#vpn(cache) !== vpn) return 0;
        this.#caches.i32[cache * STRIDE + PFN] = Math.floor(found / 2);
        this.#caches.i32[cache * STRIDE + VALID] = 1;
        return 1;
      });
      if (done !== 0) return 0;
    }
  }
}
